"""What more rows would bring: a power law through the held-out losses of several sizes of data.

    loss(n) = a + b n^-c,   a >= 0, b >= 0, 0.05 <= c <= 3

n are rows trained on; a is what no number of rows takes away. Held-out loss falls so over orders of
magnitude in every field that was measured (Hestness et al. 2017, Deep Learning Scaling is
Predictable, Empirically; Rosenfeld et al. 2020, A Constructive Prediction of the Generalization
Error Across Scales). Their exponents lie between 0.05 and 0.5, and theory knows them up to 1; what
a few rows teach, such as the form of an answer, is learned faster than that and then done.

For one c the best a and b are a straight line's, in closed form, so c is searched on a grid: there
is no starting point to choose and no local minimum to fall into, and all resamples are fitted at
once. Intervals are percentiles over resampled held-out rows, the same rows at every size, so that
what makes a row hard cancels. Where each size was trained with several seeds, how far these lie
apart is added to every interval. Beyond three sizes the misfit of the curve is added to the law as
noise of the training. With three there is none left: three numbers go through three points.

Shape legend: R held-out rows, P sizes of data, S seeds, B resamples, C exponents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tunesmith.evaluate.bootstrap import CONFIDENCE, Floats, Interval, resampled_sums, student

EXPONENTS = np.linspace(0.05, 3.0, 119)
FEWEST_POINTS = 3


@dataclass(frozen=True, slots=True)
class Losses:
    """The losses of R held-out rows after training on each of P sizes of data.

    `rows_P` are the sizes, ascending; `nll_RPS` nats summed over a row's learned tokens, by the
    seed of the training, `count_R` how many those are.
    """

    rows_P: Sequence[int]
    nll_RPS: Floats
    count_R: Floats

    @property
    def seeds(self) -> int:
        """How many times each size was trained."""
        return int(self.nll_RPS.shape[2])

    @property
    def means(self) -> Floats:
        """Nats per token at each size, in the mean over seeds, (P)."""
        means_P: Floats = self.by_seed.mean(axis=1)
        return means_P

    @property
    def by_seed(self) -> Floats:
        """Nats per token at each size with each seed, (P, S)."""
        means_PS: Floats = self.nll_RPS.sum(axis=0) / self.count_R.sum()
        return means_PS

    def spread(self) -> float | None:
        """How far another seed moves a point: the standard deviation, pooled over the sizes; None
        where there was one seed."""
        if self.seeds < 2:
            return None
        return float(np.sqrt(self.by_seed.var(axis=1, ddof=1).mean()))

    def resampled(self, seed: int) -> Floats:
        """The means over resamples of the rows, (B, P)."""
        nll_RP = self.nll_RPS.mean(axis=2)
        sums_BK = resampled_sums(np.column_stack([nll_RP, self.count_R]), seed)
        means_BP: Floats = sums_BK[:, :-1] / sums_BK[:, -1:]
        return means_BP


@dataclass(frozen=True, slots=True)
class PowerLaws:
    """Some power laws, one a fit: a, b, c as above, each of shape (B)."""

    a_B: Floats
    b_B: Floats
    c_B: Floats

    def at(self, rows: float) -> Floats:
        """The loss at so many rows, (B)."""
        return self.a_B + self.b_B * rows**-self.c_B


@dataclass(frozen=True, slots=True)
class Curve:
    """A fitted learning curve.

    `points` are the measured losses, `drops` by how much each size fell below the one before, on
    the same rows. `best` is the law of all rows, `resampled` those of the resamples; `misfit` is
    the standard deviation of the points about it, None where three points leave none; `spread` that
    of a point over `seeds`, None where there was one.
    """

    rows: tuple[int, ...]
    points: tuple[Interval, ...]
    drops: tuple[Interval, ...]
    best: PowerLaws
    resampled: PowerLaws
    misfit: float | None
    spread: float | None = None
    seeds: int = 1

    @property
    def loss(self) -> float:
        """With all rows."""
        return self.points[-1].value

    def gain(self, times: float) -> Interval:
        """By how much the loss would fall with so many times the rows, in the mean of such rows."""
        most = self.rows[-1]
        value, draws_B = (
            law.at(most) - law.at(times * most) for law in (self.best, self.resampled)
        )
        return _interval(float(value[0]), draws_B, self.points[-1].n)

    def left(self) -> Interval:
        """How far the loss lies above what no number of rows would take away."""
        most = self.rows[-1]
        value, draws_B = (law.at(most) - law.a_B for law in (self.best, self.resampled))
        return _interval(float(value[0]), draws_B, self.points[-1].n)


def fit_curve(losses: Losses, seed: int) -> Curve:
    """The curve through the losses of three sizes of data or more; `seed` draws the resamples."""
    rows_P = np.array(losses.rows_P, dtype=np.float64)
    random = np.random.default_rng(seed)
    mean_P, means_BP = losses.means, losses.resampled(seed)
    of_seeds = _of_seeds(losses)
    means_BP = means_BP + random.normal(0.0, of_seeds, means_BP.shape)
    best = _fitted(rows_P, mean_P[None])
    misfit = _misfit(rows_P, mean_P, best)
    rest = max(0.0, (misfit or 0.0) ** 2 - of_seeds**2) ** 0.5  # the misfit has the seeds in it
    noise_BP = random.normal(0.0, rest, means_BP.shape)
    count = len(losses.count_R)
    falls_BP = means_BP[:, :-1] - means_BP[:, 1:]
    return Curve(
        rows=tuple(losses.rows_P),
        points=tuple(
            _interval(float(mean), draws_B, count)
            for mean, draws_B in zip(mean_P, means_BP.T, strict=True)
        ),
        drops=tuple(
            _interval(float(fall), draws_B, count)
            for fall, draws_B in zip(mean_P[:-1] - mean_P[1:], falls_BP.T, strict=True)
        ),
        best=best,
        resampled=_fitted(rows_P, means_BP + noise_BP),
        misfit=misfit,
        spread=losses.spread(),
        seeds=losses.seeds,
    )


def _of_seeds(losses: Losses) -> float:
    """The standard error of a point for its few seeds: wider by Student's t, since their spread
    itself is known from few."""
    spread = losses.spread()
    if spread is None:
        return 0.0
    freedom = len(losses.rows_P) * (losses.seeds - 1)
    normal = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    return float(spread / losses.seeds**0.5 * student(freedom) / normal)


def _fitted(rows_P: Floats, loss_BP: Floats) -> PowerLaws:
    """The law of least squares through each row of `loss_BP`, by exponent and then in closed form.

    Sizes are counted in the largest one, so that no number is far from 1.
    """
    most = rows_P[-1]
    power_CP = (rows_P / most) ** -EXPONENTS[:, None]
    slope_BC, height_BC = _lines(power_CP, loss_BP)
    made_BCP = height_BC[..., None] + slope_BC[..., None] * power_CP
    error_BC = np.square(made_BCP - loss_BP[:, None]).sum(axis=-1)
    chosen_B = error_BC.argmin(axis=1)
    number_B = np.arange(len(loss_BP))
    c_B = EXPONENTS[chosen_B]
    return PowerLaws(height_BC[number_B, chosen_B], slope_BC[number_B, chosen_B] * most**c_B, c_B)


def _lines(power_CP: Floats, loss_BP: Floats) -> tuple[Floats, Floats]:
    """Slope and height of the lines of least squares with neither below 0, each (B, C)."""
    centred_CP = power_CP - power_CP.mean(axis=1, keepdims=True)
    slope_BC = loss_BP @ centred_CP.T / np.square(centred_CP).sum(axis=1)
    height_BC = loss_BP.mean(axis=1)[:, None] - slope_BC * power_CP.mean(axis=1)
    through_zero_BC = loss_BP @ power_CP.T / np.square(power_CP).sum(axis=1)
    slope_BC = np.where(height_BC < 0, through_zero_BC, np.maximum(slope_BC, 0))
    height_BC = np.where(
        height_BC < 0, 0, loss_BP.mean(axis=1)[:, None] - slope_BC * power_CP.mean(axis=1)
    )
    return slope_BC, height_BC


def _misfit(rows_P: Floats, mean_P: Floats, law: PowerLaws) -> float | None:
    """The standard deviation of the points about the curve, which has three numbers of its own."""
    free = len(rows_P) - FEWEST_POINTS
    if free <= 0:
        return None
    errors = [
        float(mean - law.at(float(rows))[0]) for rows, mean in zip(rows_P, mean_P, strict=True)
    ]
    return float(np.sqrt(np.square(errors).sum() / free))


def _interval(value: float, draws_B: Floats, n: int) -> Interval:
    """The percentile interval, and the value always inside it."""
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(draws_B, [tail, 100 - tail])
    return Interval(value, min(float(low), value), max(float(high), value), n)
