"""Over-optimisation: what the best of n answers by a reward model is worth to a judge of its own.

Of N answers to a prompt, sorted by reward, the best of n that are drawn without replacement is the
i-th with probability C(i−1, n−1) / C(N, n). So one set of N answers gives every n ≤ N, and without
bias (Nakano et al. 2021, WebGPT, appendix I; Gao et al. 2022, Scaling Laws for Reward Model
Overoptimization, draw their curves so). Choosing the best of n moves away from the model that
answers by at most

    KL = log n − (n − 1) / n   nats

(Stiennon et al. 2020, appendix G.3; a bound, as Beirami et al. 2024 show). Where the reward goes on
rising and what it stands for does not, the reward is improved and no longer the answers.

Shape legend: Q prompts, N answers to each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Interval, PairedRows, paired_change
from tunesmith.evaluate.charts import Mark, Series, line_chart
from tunesmith.evaluate.pictures import Picture

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BestOf:
    """The best of `n` answers: what its `reward` and its `gold` have over those of one answer, each
    in standard deviations of single answers, and how far that is from the model, at most (`kl`, in
    nats)."""

    n: int
    kl: float
    reward: Interval
    gold: Interval


def best_of_n(
    rewards_QN: Floats, gold_QN: Floats, sizes: Sequence[int] | None = None, seed: int = 0
) -> list[BestOf]:
    """The curve over n, by default 1, 2, 4, … and N.

    Args:
        rewards_QN: what the reward model says of the answers.
        gold_QN: what an independent judge, or a verifier, says of the same answers.
        sizes: the n, each from 1 to N.
        seed: draws the intervals, which are over prompts.

    Raises:
        ValueError: the arrays are of different shapes, empty or not finite, or an n is beyond N.
    """
    rewards_QN, gold_QN = np.asarray(rewards_QN, float), np.asarray(gold_QN, float)
    if rewards_QN.shape != gold_QN.shape or rewards_QN.ndim != 2 or not rewards_QN.size:
        raise ValueError(f"Rewards {rewards_QN.shape} and gold scores {gold_QN.shape} must be Q, N")
    if not (np.isfinite(rewards_QN).all() and np.isfinite(gold_QN).all()):
        raise ValueError("Every answer needs a finite reward and a finite gold score")
    answers = rewards_QN.shape[1]
    sizes = _doubled(answers) if sizes is None else sizes
    if any(not 1 <= n <= answers for n in sizes):
        raise ValueError(f"n must be from 1 to {answers}; received {list(sizes)}")
    sides = [("reward", _scaled(rewards_QN, rewards_QN)), ("gold", _scaled(rewards_QN, gold_QN))]
    found = []
    for n in sizes:
        gains = [_gain(sorted_QN, n, derive(seed, "best of", name, n)) for name, sorted_QN in sides]
        found.append(BestOf(n, math.log(n) - (n - 1) / n, *gains))
    return found


def overoptimised_from(curve: Sequence[BestOf]) -> int | None:
    """The n from which on more choosing is worth less: where the gold score is highest, if a larger
    n has surely less; None where it never falls."""
    best = max(curve, key=lambda each: each.gold.value)
    behind = [each for each in curve if each.n > best.n]
    return best.n if any(each.gold.high < best.gold.value for each in behind) else None


def best_of_picture(curve: Sequence[BestOf], gold: str = "the judge") -> Picture:
    """Reward and gold score over KL; the distance between the lines is what the reward invents."""
    title = "The best of n by the reward, and what it is worth"
    series = [
        Series("by the reward", [(each.kl, each.reward.value) for each in curve], "train", True),
        Series(f"by {gold}", [(each.kl, each.gold.value) for each in curve], "held", True),
    ]
    turn = overoptimised_from(curve)
    marks = [Mark(each.kl, f"best: n = {turn}") for each in curve if each.n == turn]
    axes = "KL from the model, nats (log n − (n − 1) / n)", "gain, standard deviations"
    svg = line_chart(series, *axes, title, marks)
    return Picture(title, svg, tuple((each.kind, each.name) for each in series))


def _doubled(answers: int) -> list[int]:
    powers = [2**power for power in range(answers.bit_length()) if 2**power <= answers]
    return sorted({*powers, answers})


def _scaled(rewards_QN: Floats, values_QN: Floats) -> Floats:
    """`_sorted`, in deviations of the answers to one prompt."""
    return _sorted(rewards_QN, values_QN) / (math.sqrt(values_QN.var(1).mean()) or 1.0)


def _sorted(rewards_QN: Floats, values_QN: Floats) -> Floats:
    """Values by rising reward; among equal rewards their mean, for any of them may be taken."""
    sorted_QN = np.empty_like(values_QN)
    for q, (rewards_N, values_N) in enumerate(zip(rewards_QN, values_QN, strict=True)):
        _, group_N = np.unique(rewards_N, return_inverse=True)
        mean_G = np.bincount(group_N, values_N) / np.bincount(group_N)
        sorted_QN[q] = mean_G[np.sort(group_N)]
    return sorted_QN


def _gain(sorted_QN: Floats, n: int, seed: int) -> Interval:
    """Mean over prompts of the best of n minus a single one."""
    answers = sorted_QN.shape[1]
    places = np.arange(1, answers + 1)
    weights_N = np.zeros(answers)
    able = places[n - 1 :]
    weights_N[n - 1 :] = np.exp(_log_choose(able - 1, n - 1) - _log_choose(np.array(answers), n))
    best_Q, single_Q = sorted_QN @ weights_N, sorted_QN.mean(1)
    return paired_change(PairedRows(single_Q, best_Q, np.ones(len(best_Q))), seed)


def _log_choose(n: NDArray[np.int64], k: int) -> Floats:
    found: Floats = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return found
