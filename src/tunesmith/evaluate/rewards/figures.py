"""What is counted of pairs: how often the better answer is found, and what length has to do there.

    accuracy     share of pairs with r_c > r_r; equal rewards count one half
    calibration  of s((r_c − r_r) / T), the probability that the chosen answer is the better one:
                 the mean of (1 − it)² (Brier 1950), and the expected calibration error
    balanced     the mean of the accuracies on pairs whose chosen answer is the longer one and on
                 those whose chosen answer is the shorter one: length alone gets one half

Shape legend: P pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import spearmanr

from tunesmith.evaluate.bootstrap import Interval, PairedRows, paired_change, paired_rate_change
from tunesmith.evaluate.labels.calibration import calibration_error, reliability
from tunesmith.evaluate.rewards.measured import Compared

Floats = NDArray[np.float64]

LOSS = "nats a pair"
"""What the loss is counted in by which rewards are trained."""

NEAR = 0.1
"""Answers are of about one length where they differ by no more than this share of the longer."""

LEAST_PAIRS = 20
"""Of fewer pairs no accuracy is told."""


def right(rows: Sequence[Compared]) -> Floats:
    """1 where the chosen answer has the higher reward, ½ where both have the same, else 0 (P)."""
    return (np.sign([row.ahead for row in rows]) + 1) / 2


def accuracy(rows: Sequence[Compared]) -> float:
    """The mean of `right`."""
    return float(right(rows).mean())


def above_chance(rows: Sequence[Compared]) -> Interval:
    """Accuracy minus one half, which is half of how much more pairs are right than wrong."""
    right_P = right(rows)
    wrong_P, better_P = ((side).astype(np.float64) for side in (right_P < 0.5, right_P > 0.5))
    sides = PairedRows(wrong_P, better_P, np.ones(len(rows)))
    found = paired_rate_change(sides)
    return Interval(found.value / 2, found.low / 2, found.high / 2, found.n)


def change(other: Sequence[Compared], tuned: Sequence[Compared], seed: int) -> Interval:
    """Accuracy of the tuned model minus that of another way, on the same pairs."""
    rows = PairedRows(right(other), right(tuned), np.ones(len(tuned)))
    ties = np.concatenate([rows.base_R, rows.tuned_R]) == 0.5
    return paired_change(rows, seed) if ties.any() else paired_rate_change(rows)


def brier(rows: Sequence[Compared], temperature: float) -> float:
    """See the head of this file; 0.25 is that of knowing nothing."""
    return float(np.mean((1 - _chances(rows, temperature)) ** 2))


def bins(rows: Sequence[Compared], temperature: float) -> list[tuple[float, float, int]]:
    """(how sure, how often right, pairs) of the answer that it prefers."""
    chance_P = _chances(rows, temperature)
    sure_P = np.maximum(chance_P, 1 - chance_P)
    return reliability(sure_P, right(rows) > 0.5)


def figures(rows: Sequence[Compared], temperature: float) -> dict[str, float]:
    """The figures of the tuned model on a set of pairs, accuracy first."""
    return {
        "accuracy": accuracy(rows),
        "Brier score": brier(rows, temperature),
        "calibration error": calibration_error(bins(rows, temperature)),
    }


@dataclass(frozen=True, slots=True)
class Lengths:
    """What length has to do with the rewards of pairs whose answers differ in length.

    `people` and `model` are the shares of the pairs in which they prefer the longer answer, and
    `more` how much more often the model does. `balanced` is the accuracy in which length is no
    help, minus one half; None where there are too few pairs of either sort. `near` is the accuracy
    on pairs of about one length (`near_pairs`), None for too few. `correlation` is Spearman's
    between the difference of rewards and that of lengths: 0 is none.
    """

    people: float
    model: float
    more: Interval
    correlation: float
    balanced: Interval | None
    near: float | None
    near_pairs: int


def lengths(rows: Sequence[Compared]) -> Lengths | None:
    """None where fewer than LEAST_PAIRS pairs differ in length."""
    unequal = [row for row in rows if row.longer]
    if len(unequal) < LEAST_PAIRS:
        return None
    people_P = np.array([row.longer > 0 for row in unequal], dtype=float)
    model_P = np.array([row.ahead * row.longer > 0 for row in unequal], dtype=float)
    near = [row for row in rows if abs(row.longer) <= NEAR * max(row.lengths)]
    return Lengths(
        float(people_P.mean()),
        float(model_P.mean()),
        paired_rate_change(PairedRows(people_P, model_P, np.ones(len(unequal)))),
        _correlation([row.ahead for row in unequal], [row.longer for row in unequal]),
        _balanced(unequal),
        accuracy(near) if len(near) >= LEAST_PAIRS else None,
        len(near),
    )


def _balanced(rows: Sequence[Compared]) -> Interval | None:
    """Two independent means, each with its own variance."""
    sides = [right([row for row in rows if (row.longer > 0) == longer]) for longer in (True, False)]
    if min(map(len, sides)) < LEAST_PAIRS:
        return None
    value = float(np.mean([side.mean() for side in sides])) - 0.5
    reach = 1.96 * math.sqrt(sum(float(side.var()) / (len(side) - 1) for side in sides)) / 2
    return Interval(value, value - reach, value + reach, len(rows))


def _correlation(left: Sequence[float], right_: Sequence[float]) -> float:
    """0 where either side has no spread."""
    if len(set(left)) < 2 or len(set(right_)) < 2:
        return 0.0
    return float(spearmanr(left, right_).statistic)


def chance(row: Compared, temperature: float) -> float:
    """That people prefer the chosen answer of one pair, as the rewards say."""
    return float(expit(row.ahead / temperature))


def _chances(rows: Sequence[Compared], temperature: float) -> Floats:
    found: Floats = expit(np.array([row.ahead for row in rows]) / temperature)
    return found
