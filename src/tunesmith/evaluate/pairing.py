"""Joins the two sides row by row, so that each difference is taken on the same rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Score
from tunesmith.evaluate.bootstrap import PairedRows
from tunesmith.evaluate.measure import Answered

BITS_PER_BYTE = "bits per byte"
NATS_PER_TOKEN = "nats per token"


def unit_of(*score_sets: Sequence[Score]) -> str:
    """Bits per byte where every row has a length in bytes, else nats per token.

    Bits per byte do not depend on the tokenizer, so they can be compared between models.
    """
    has_bytes = all(score.bytes > 0 for scores in score_sets for score in scores)
    return BITS_PER_BYTE if has_bytes else NATS_PER_TOKEN


def pair_scores(base: Sequence[Score], tuned: Sequence[Score], unit: str) -> PairedRows:
    """One entry per row of the data; pieces of one document are summed into their row."""
    _same_rows([s.origin for s in base], [s.origin for s in tuned])
    scale = 1 / math.log(2) if unit == BITS_PER_BYTE else 1.0
    totals: dict[Origin, list[float]] = {}
    for before, after in zip(base, tuned, strict=True):
        total = totals.setdefault(before.origin, [0.0, 0.0, 0.0])
        total[0] += before.nll * scale
        total[1] += after.nll * scale
        total[2] += before.bytes if unit == BITS_PER_BYTE else before.count
    rows = np.array([t for t in totals.values() if t[2] > 0], dtype=np.float64).reshape(-1, 3)
    return PairedRows(rows[:, 0], rows[:, 1], rows[:, 2])


def pair_files(base: Sequence[Score], tuned: Sequence[Score], unit: str) -> dict[str, PairedRows]:
    """The paired rows of each file by itself, in the order in which the files first appear."""
    _same_rows([s.origin for s in base], [s.origin for s in tuned])
    files: dict[str, list[tuple[Score, Score]]] = {}
    for pair in zip(base, tuned, strict=True):
        files.setdefault(pair[0].origin.path, []).append(pair)
    return {
        path: pair_scores([before for before, _ in pairs], [after for _, after in pairs], unit)
        for path, pairs in files.items()
    }


def joined(parts: Sequence[PairedRows]) -> PairedRows:
    """The rows of several files as those of one. `parts` is not empty."""
    return PairedRows(
        np.concatenate([part.base_R for part in parts]),
        np.concatenate([part.tuned_R for part in parts]),
        np.concatenate([part.size_R for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class PairedProperty:
    """One property of the answers on both sides; `rate` when it only says true or false."""

    name: str
    rows: PairedRows
    rate: bool


def pair_answers(
    base: Sequence[Answered], tuned: Sequence[Answered]
) -> list[tuple[Answered, Answered]]:
    """The two answers to each prompt."""
    _same_rows([a.origin for a in base], [a.origin for a in tuned])
    return list(zip(base, tuned, strict=True))


def pair_exact(pairs: Sequence[tuple[Answered, Answered]]) -> PairedProperty:
    """Exact match as a property of the answers."""
    return _property("exact match", [(before.exact, after.exact) for before, after in pairs])


def pair_properties(pairs: Sequence[tuple[Answered, Answered]]) -> list[PairedProperty]:
    """The properties of the user's check, in the order in which they first appear.

    A property is compared on the prompts where both answers have it.
    """
    both: dict[str, list[tuple[bool | float, bool | float]]] = {}
    for before, after in pairs:
        for name in before.properties:
            if name in after.properties:
                values = (before.properties[name], after.properties[name])
                both.setdefault(name, []).append(values)
    return [_property(name, values) for name, values in both.items()]


def _property(name: str, values: Sequence[tuple[bool | float, bool | float]]) -> PairedProperty:
    array = np.array(values, dtype=np.float64).reshape(-1, 2)
    rate = all(isinstance(value, bool) for pair in values for value in pair)
    return PairedProperty(name, PairedRows(array[:, 0], array[:, 1], np.ones(len(array))), rate)


def _same_rows(base: Iterable[Origin], tuned: Iterable[Origin]) -> None:
    base, tuned = list(base), list(tuned)
    if base == tuned:
        return
    differing = next((pair for pair in zip(base, tuned, strict=False) if pair[0] != pair[1]), None)
    where = f"{differing[0]} against {differing[1]}" if differing else "one side has fewer rows"
    raise DataError(
        f"The base was measured on other rows than the tuned model ({len(base)} and {len(tuned)} "
        f"rows; {where}). Measure both again on the same data."
    )
