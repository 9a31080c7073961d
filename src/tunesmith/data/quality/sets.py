"""Checks that need all rows at once, each a few passes over columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tunesmith.data.quality.columns import BENCHMARK, TRAIN, VALIDATION, Columns
from tunesmith.data.quality.languages import NAMES

FEW = 30
"""Rows under which nothing is called unusual."""
_FAR = 3.5
_TIMES = 4.0
_MAIN = 0.9
_LENGTH_FLOOR = 0.1


@dataclass(frozen=True, slots=True)
class Marks:
    """The rows that a check found, as indices in order, and what to say of each (by index)."""

    rows: np.ndarray
    says: Callable[[int], str]


def duplicates(columns: Columns) -> Marks:
    """Rows that are the same as an earlier one of their kind of file."""
    first_R = _first_of(columns, columns.exact_R)
    rows = np.flatnonzero(first_R != np.arange(len(first_R)))
    return Marks(rows, lambda row: f"The same row stands at {columns.origin(first_R[row])}.")


def near_duplicates(columns: Columns) -> Marks:
    """Rows that say nearly the same as an earlier one of their kind of file, and are not equal."""
    first_R = _first_of(columns, columns.group_R)
    again_R = first_R != np.arange(len(first_R))
    again_R[duplicates(columns).rows] = False
    rows = np.flatnonzero(again_R)
    return Marks(rows, lambda row: f"It says nearly what {columns.origin(first_R[row])} says.")


def in_both_splits(columns: Columns) -> Marks:
    """Training rows that stand in the validation files, too."""
    twin_R = _same(columns)
    rows = np.flatnonzero(twin_R >= 0)
    return Marks(rows, lambda row: f"The same row stands at {columns.origin(twin_R[row])}.")


def nearly_in_both_splits(columns: Columns) -> Marks:
    """Training rows that say nearly what a validation row says."""
    twin_R = columns.twins_FR[VALIDATION]
    rows = np.flatnonzero((columns.side_R == TRAIN) & (twin_R >= 0) & (_same(columns) < 0))
    return Marks(rows, lambda row: f"{columns.origin(twin_R[row])} says nearly the same.")


def in_a_benchmark(columns: Columns) -> Marks:
    """Training rows that quote a benchmark row, or say nearly what it says."""
    twin_R = columns.twins_FR[BENCHMARK]
    item_R = np.where(columns.quoted_R >= 0, columns.quoted_R, twin_R)
    rows = np.flatnonzero((columns.side_R == TRAIN) & (item_R >= 0))
    return Marks(rows, lambda row: f"It holds what {columns.origin(item_R[row])} asks.")


def contradictions(columns: Columns) -> Marks:
    """Rows that answer otherwise than an earlier one with the same prompt."""
    asked_R, answered_R = columns.asked_R, columns.answered_R
    first_R = _first_of(columns, asked_R)
    differs_R = (answered_R != answered_R[first_R]) & (asked_R != 0)
    return Marks(
        np.flatnonzero(differs_R),
        lambda row: f"{columns.origin(first_R[row])} gives another answer to the same prompt.",
    )


def unusual_lengths(columns: Columns) -> Marks:
    """Rows far longer or shorter than the others.

    By the modified z-score of the logarithm of the length (Iglewicz and Hoaglin, "How to detect and
    handle outliers", 1993: over 3.5), and at least four times as long or as short as the median.
    """
    rows = columns.of(TRAIN, VALIDATION)
    if len(rows) < FEW:
        return Marks(rows[:0], str)
    logs = np.log(np.maximum(columns.length_R[rows], 1))
    middle = np.median(logs)
    spread = max(np.median(np.abs(logs - middle)) / 0.6745, _LENGTH_FLOOR)
    far = np.abs(logs - middle) > max(_FAR * spread, np.log(_TIMES))
    median = round(float(np.exp(middle)))
    return Marks(
        rows[far],
        lambda row: (
            f"It has {columns.length_R[row]:,} characters; half of the rows have fewer "
            f"than {median:,}, half more."
        ),
    )


def other_languages(columns: Columns) -> Marks:
    """Rows in another language than nine tenths of those whose language could be told."""
    rows = columns.of(TRAIN, VALIDATION)
    told = rows[columns.language_R[rows] > 0]
    if len(told) < FEW:
        return Marks(told[:0], str)
    counts = np.bincount(columns.language_R[told])
    main = int(counts.argmax())
    if counts[main] < _MAIN * len(told):
        return Marks(told[:0], str)
    return Marks(
        told[columns.language_R[told] != main],
        lambda row: (
            f"It looks like {NAMES[columns.language_R[row]]}; nearly all others are {NAMES[main]}."
        ),
    )


def _first_of(columns: Columns, values_R: np.ndarray) -> np.ndarray:
    """The first row of the same kind of file with an equal value; benchmark rows stay alone."""
    first_R = np.arange(len(values_R))
    for side in (TRAIN, VALIDATION):
        rows = columns.of(side)
        _, first, number = np.unique(values_R[rows], return_index=True, return_inverse=True)
        first_R[rows] = rows[first[number]]
    return first_R


def _same(columns: Columns) -> np.ndarray:
    """For each training row the first validation row that is equal, else −1."""
    twin_R = np.full(len(columns.side_R), -1)
    training, validation = columns.of(TRAIN), columns.of(VALIDATION)
    if len(validation):
        values, first = np.unique(columns.exact_R[validation], return_index=True)
        sought = columns.exact_R[training]
        at = np.minimum(np.searchsorted(values, sought), len(values) - 1)
        twin_R[training] = np.where(values[at] == sought, validation[first[at]], -1)
    return twin_R
