"""Bootstrap intervals over rows, for statistics that are a sum divided by a sum.

A row (one line of a data file) is drawn with replacement, never a token: the tokens of one row are
not independent. Base and tuned are drawn together, so that what makes a row hard for both cancels.
Percentile intervals: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

Shape legend: R rows, K columns summed together, B resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95
_DRAWS_AT_ONCE = 4_000_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate from `n` rows and its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class PairedRows:
    """The same R rows seen twice: a total per row on either side, and the size both share.

    The statistic is sum(total) / sum(size): bits per byte, nats per token, or a mean (sizes 1).
    Every size is above zero.
    """

    base_R: Floats
    tuned_R: Floats
    size_R: Floats

    def __len__(self) -> int:
        return len(self.size_R)

    @property
    def base(self) -> float:
        """The statistic of the base."""
        return float(self.base_R.sum() / self.size_R.sum())

    @property
    def tuned(self) -> float:
        """The statistic of the tuned model."""
        return float(self.tuned_R.sum() / self.size_R.sum())


def paired_change(rows: PairedRows, seed: int) -> Interval:
    """Tuned minus base, with its interval. Needs at least one row."""
    return _interval(rows.tuned - rows.base, _change_draws(rows, seed), len(rows))


def difference_of_changes(first: PairedRows, second: PairedRows, seed: int) -> Interval:
    """The change on `first` minus the change on `second`, two independent sets of rows.

    `n` is the number of rows of the smaller set.
    """
    value = (first.tuned - first.base) - (second.tuned - second.base)
    draws_B = _change_draws(first, seed) - _change_draws(second, seed + 1)
    return _interval(value, draws_B, min(len(first), len(second)))


def _change_draws(rows: PairedRows, seed: int) -> Floats:
    sums_BK = resampled_sums(np.stack([rows.tuned_R - rows.base_R, rows.size_R], axis=1), seed)
    draws_B: Floats = sums_BK[:, 0] / sums_BK[:, 1]
    return draws_B


def resampled_sums(columns_RK: Floats, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Column sums over `resamples` draws of R rows with replacement, shape (B, K)."""
    generator = np.random.default_rng(seed)
    rows, columns = columns_RK.shape
    sums_BK = np.empty((resamples, columns))
    at_once = max(1, _DRAWS_AT_ONCE // (rows * columns))
    for start in range(0, resamples, at_once):
        end = min(start + at_once, resamples)
        drawn = generator.integers(0, rows, size=(end - start, rows))
        sums_BK[start:end] = columns_RK[drawn].sum(axis=1)
    return sums_BK


def _interval(value: float, draws_B: Floats, n: int) -> Interval:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(draws_B, [tail, 100 - tail])
    return Interval(value, float(low), float(high), n)
