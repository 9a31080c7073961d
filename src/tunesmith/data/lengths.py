"""How long sequences are: a histogram whose borders are round numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

BINS = 10
"""About so many, of equal width, for all but the longest hundredth."""

_ROUND = (1, 2, 2.5, 5, 10)
_TAIL = 99.0
"""The percentile from which on the rest is one bin, if it would take more than one."""


@dataclass(frozen=True, slots=True)
class Bin:
    """How many sequences have `low` to `high` tokens, both included."""

    low: int
    high: int
    sequences: int


def histogram(lengths_N: np.ndarray) -> tuple[Bin, ...]:
    """Bins that follow each other without a gap and hold each length once; none for no lengths.

    The longest hundredth is one last bin where it lies far out, so that a single book among
    letters does not press all letters into one bin.

    Args:
        lengths_N: tokens of each sequence (integers, N).
    """
    if not len(lengths_N):
        return ()
    shortest, longest = int(lengths_N.min()), int(lengths_N.max())
    tail = int(np.percentile(lengths_N, _TAIL, method="higher"))
    width = _round_width((tail - shortest + 1) / BINS)
    first = shortest // width * width
    border = (tail // width + 1) * width  # where the equal bins end
    edges = list(range(first, border + 1, width))
    if longest >= border:
        edges.append(max(border + width, longest + 1))
    counts, _ = np.histogram(lengths_N, edges)
    return tuple(
        Bin(low, above - 1, int(count))
        for low, above, count in zip(edges, edges[1:], counts, strict=False)
    )


def _round_width(least: float) -> int:
    """The smallest round whole number that is at least `least`."""
    power = 10 ** math.floor(math.log10(max(1.0, least)))
    widths = (factor * power for factor in _ROUND)
    return int(next(w for w in widths if w >= least and w == int(w)))
