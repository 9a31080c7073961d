"""Checks of preferences: pairs of answers of which one is chosen."""

from __future__ import annotations

import math

import numpy as np

from tunesmith.data.quality.columns import TRAIN, VALIDATION, Columns
from tunesmith.data.quality.edits import distance
from tunesmith.data.quality.sets import FEW, Marks
from tunesmith.data.quality.view import Seen, plain

BY_LENGTH = 0.6
"""A length decides too much if its interval lies above this share of the pairs."""
_NEARLY = 20
_NORMAL = 1.959964  # the 97.5 % point of the standard normal distribution


def nearly_same(seen: Seen) -> str | None:
    """Two answers that differ in one word of twenty or fewer, if in words at all."""
    if not seen.choice:
        return None
    chosen, rejected = (plain(text).split() for text in seen.choice)
    most = min(len(chosen), len(rejected)) // _NEARLY
    if chosen == rejected:
        return "The two answers have the same words."
    if abs(len(chosen) - len(rejected)) > most:
        return None
    edits = distance(chosen, rejected)
    return f"The two answers differ in {edits} of {len(chosen)} words." if edits <= most else None


def turned_round(columns: Columns) -> Marks:
    """Pairs that an earlier row has the other way round."""
    earlier_R = np.full(len(columns.side_R), -1)
    for side in (TRAIN, VALIDATION):
        rows = columns.of(side)
        rows = rows[columns.chosen_R[rows] != columns.turned_R[rows]]
        codes, first = np.unique(columns.chosen_R[rows], return_index=True)
        if len(codes):
            at = np.minimum(np.searchsorted(codes, columns.turned_R[rows]), len(codes) - 1)
            found = codes[at] == columns.turned_R[rows]
            earlier_R[rows[found]] = rows[first[at[found]]]
    rows = np.flatnonzero((earlier_R >= 0) & (earlier_R < np.arange(len(earlier_R))))
    return Marks(rows, lambda row: f"{columns.origin(earlier_R[row])} prefers the other answer.")


def by_length(columns: Columns) -> Marks:
    """Pairs in which length decides as in far more than half of them.

    Whether the longer or the shorter answer is chosen is a toss of a coin if length does not
    matter (the sign test); the interval is Wilson's ("Probable inference, the law of succession,
    and statistical inference", 1927). That models learn length instead of merit: Singhal et al.,
    "A long way to go: investigating length correlations in RLHF", 2023.
    """
    rows = columns.of(TRAIN)
    more = np.sign(columns.longer_R[rows])
    rows, more = rows[more != 0], more[more != 0]
    longer = int(np.count_nonzero(more > 0))
    way, wins = ("longer", longer) if 2 * longer >= len(rows) else ("shorter", len(rows) - longer)
    if len(rows) < FEW or (interval := wilson(wins, len(rows)))[0] <= BY_LENGTH:
        return Marks(rows[:0], str)
    says = (
        f"In {wins:,} of {len(rows):,} pairs ({wins / len(rows):.0%}; 95 % interval "
        f"{interval[0]:.0%} to {interval[1]:.0%}) the {way} answer is chosen, as here."
    )
    return Marks(rows[more == (1 if way == "longer" else -1)], lambda row: says)


def wilson(wins: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of which `wins` of `count` (one at least) were seen."""
    share, square = wins / count, _NORMAL**2
    middle = share + square / (2 * count)
    half = _NORMAL * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    scale = 1 + square / count
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
