"""Intervals over rows, for the change of a statistic between two sides that saw the same rows.

A row (one line of a data file) is drawn with replacement, never a token: the tokens of one row are
not independent. Base and tuned are drawn together, so that what makes a row hard for both cancels.
How often each interval covers a known truth is shown by `python -m benchmarks.coverage`.

- A ratio of sums: the studentised bootstrap (Efron & Tibshirani, An Introduction to the Bootstrap,
  1993, section 12.5) with the jackknife's standard error, whose tails are never taken nearer than
  Student's t. The bootstrap follows skewed rows, Student's t few rows and heavy tails; percentile
  intervals are too narrow for both (Hesterberg, What Teachers Should Know About the Bootstrap,
  2015, section 5).
- A rate: Bonett & Price, Adjusted Wald Confidence Interval for a Difference of Binomial Proportions
  Based on Paired Data, 2012. No resample knows of a change that none of the rows made.
- A rate alone: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927,
  which has a width even where all rows agree.
- A statistic of a corpus: expanded percentiles (Hesterberg 2015, section 5.3).

Shape legend: R rows, K columns summed together, B resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95
_TAIL = (1 - CONFIDENCE) / 2
_DRAWS_AT_ONCE = 4_000_000

# A resample of nearly nothing but one row has no spread to divide by. Its standard error is taken
# as at least this share of the sample's, which matters only where few rows differ at all.
_LEAST_SPREAD = 0.25

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""From sums of columns (..., K) to the value of each (...)."""


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
    """Tuned minus base, with its interval: a point from one row, and where all rows agree."""
    return _studentised([_Change(rows)], [seed])


def difference_of_changes(first: PairedRows, second: PairedRows, seed: int) -> Interval:
    """The change on `first` minus the change on `second`, two independent sets of rows.

    `n` is the number of rows of the smaller set.
    """
    return _studentised([_Change(first), _Change(second)], [seed, seed + 1])


def paired_rate_change(rows: PairedRows) -> Interval:
    """Tuned minus base where every total is 0 or 1 and every size 1 (Bonett & Price 2012).

    One row more that rose and one more that fell are added, so the interval has a width even where
    no row changed. Nothing is drawn.
    """
    n = len(rows)
    change_R = rows.tuned_R - rows.base_R
    rose = (float((change_R > 0).sum()) + 1) / (n + 2)
    fell = (float((change_R < 0).sum()) + 1) / (n + 2)
    centre = rose - fell
    reach = NormalDist().inv_cdf(1 - _TAIL) * math.sqrt((rose + fell - centre**2) / (n + 2))
    return Interval(float(change_R.mean()), max(-1.0, centre - reach), min(1.0, centre + reach), n)


def rate(hits: int, n: int) -> Interval:
    """The share of `hits` among `n` rows, one at least (Wilson 1927). Nothing is drawn."""
    share, z = hits / n, NormalDist().inv_cdf(1 - _TAIL)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Interval(share, max(0.0, centre - reach), min(1.0, centre + reach), n)


def corpus_change(base_RK: Floats, tuned_RK: Floats, statistic: Statistic, seed: int) -> Interval:
    """Tuned minus base of a statistic that is computed from sums over all rows, not from each."""
    rows, columns = base_RK.shape
    value = float(statistic(tuned_RK.sum(axis=0)) - statistic(base_RK.sum(axis=0)))
    sums_BK = resampled_sums(np.concatenate([base_RK, tuned_RK], axis=1), seed)
    draws_B = statistic(sums_BK[:, columns:]) - statistic(sums_BK[:, :columns])
    if rows == 1:
        return Interval(value, value, value, rows)
    return Interval(value, *expanded(draws_B, rows), rows)


def expanded(draws_B: Floats, rows: int) -> tuple[float, float]:
    """The ends of the expanded percentile interval of draws from so many rows, two at least."""
    tail = NormalDist().cdf(-math.sqrt(rows / (rows - 1)) * student(rows - 1))
    low, high = np.quantile(draws_B, [tail, 1 - tail])
    return float(low), float(high)


def student(freedom: int) -> float:
    """The upper quantile of Student's t at CONFIDENCE, from the normal one.

    Abramowitz & Stegun, Handbook of Mathematical Functions (1964), 26.7.5: exact to a thousandth
    from 3 degrees of freedom on.
    """
    z = NormalDist().inv_cdf(1 - _TAIL)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


def resampled_sums(columns_RK: Floats, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Column sums over `resamples` draws of R rows with replacement, shape (B, K)."""
    # How often each row was drawn is counted once; then it is one product for all columns.
    drawn = resampled_times(len(columns_RK), seed, resamples)
    return np.concatenate([times_BR @ columns_RK for times_BR in drawn])


def resampled_times(rows: int, seed: int, resamples: int = RESAMPLES) -> Iterator[Floats]:
    """How often each row stands in each resample, so many resamples at once as memory allows."""
    generator = np.random.default_rng(seed)
    at_once = max(1, _DRAWS_AT_ONCE // rows)
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        drawn = generator.integers(0, rows, size=(size, rows))
        places = drawn + rows * np.arange(size)[:, None]
        times = np.bincount(places.ravel(), minlength=size * rows)
        yield times.reshape(-1, rows).astype(np.float64)


class _Change:
    """The change on one set of rows, its standard error, and both in each resample."""

    def __init__(self, rows: PairedRows) -> None:
        change_R, size_R = rows.tuned_R - rows.base_R, rows.size_R
        self.n = len(rows)
        self.value = rows.tuned - rows.base
        self._size_R = size_R
        # Without the mean nothing cancels in the sums of squares below.
        self._rest_R = change_R - change_R.sum() / size_R.sum() * size_R
        self.variance = self._jackknife()

    def _jackknife(self) -> float:
        """The variance of the value, from leaving out each row in turn (Efron 1982, 3.1)."""
        if self.n == 1:
            return 0.0
        left_R = -self._rest_R / (self._size_R.sum() - self._size_R)
        return float((self.n - 1) / self.n * ((left_R - left_R.mean()) ** 2).sum())

    def draws(self, seed: int) -> tuple[Floats, Floats]:
        """The deviation from the value and the variance (linearised) in each resample, both (B)."""
        n, e_R, s_R = self.n, self._rest_R, self._size_R
        sums_BK = resampled_sums(np.stack([e_R, s_R, e_R**2, e_R * s_R, s_R**2], axis=1), seed)
        e_B, s_B, ee_B, es_B, ss_B = sums_BK.T
        off_B = e_B / s_B
        squares_B = np.maximum(0.0, ee_B - 2 * off_B * es_B + off_B**2 * ss_B)
        variance_B = squares_B * n / (n - 1) / s_B**2
        return off_B, np.maximum(variance_B, _LEAST_SPREAD**2 * self.variance)


def _studentised(changes: Sequence[_Change], seeds: Sequence[int]) -> Interval:
    """The first change, minus the second where there is one."""
    signs = (1.0, -1.0)
    value = sum(sign * change.value for sign, change in zip(signs, changes, strict=False))
    n = min(change.n for change in changes)
    error = math.sqrt(sum(change.variance for change in changes))
    if n == 1 or error <= 1e-15 * abs(value):
        return Interval(value, value, value, n)
    drawn = [change.draws(seed) for change, seed in zip(changes, seeds, strict=True)]
    off_B = sum(sign * off for sign, (off, _) in zip(signs, drawn, strict=False))
    t_B = off_B / np.sqrt(sum(variance for _, variance in drawn))
    low_t, high_t = np.quantile(t_B, [_TAIL, 1 - _TAIL])
    least = student(n - 1)
    low, high = max(float(high_t), least), min(float(low_t), -least)
    return Interval(value, value - low * error, value - high * error, n)
