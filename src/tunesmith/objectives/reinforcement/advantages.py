"""From grades to advantages: how much better than expected an answer, or a token of it, was.

    group           A = r − mean of the prompt's grades
    scaled_group    A = (r − mean) / (std + 1e-4), std with n − 1
    others          A = r − mean of the prompt's other grades
    step            A = r − mean of all grades of the step

A grade that is missing (NaN) is left out of every mean, and its advantage is NaN: such an answer
teaches nothing. So is one without another to be held against.

Shape legend: P prompts, n answers to each, N tokens of one answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.objectives.reinforcement.variants import Baseline

Floats = NDArray[np.float64]

_LEAST_STD = 1e-4
"""Added to a group's spread, so that equal grades divide nothing by nothing."""


def of_answers(grades_Pn: Floats, baseline: Baseline) -> Floats:
    """The advantage of each answer; `baseline` is any but "critic"."""
    if baseline == "step":
        return grades_Pn - (np.nanmean(grades_Pn) if _graded(grades_Pn).any() else 0.0)
    count_P1 = _graded(grades_Pn).sum(1, keepdims=True).astype(np.float64)
    count_P1[count_P1 < 2] = np.nan
    sum_P1 = np.nansum(grades_Pn, axis=1, keepdims=True)
    if baseline == "others":
        return grades_Pn - (sum_P1 - grades_Pn) / (count_P1 - 1)
    centred_Pn = grades_Pn - sum_P1 / count_P1
    if baseline == "group":
        return centred_Pn
    variance_P1 = np.nansum(centred_Pn**2, axis=1, keepdims=True) / (count_P1 - 1)
    return centred_Pn / (np.sqrt(variance_P1) + _LEAST_STD)


def without_signal(grades_Pn: Floats) -> NDArray[np.bool_]:
    """Which prompts (P,) have grades that are all alike, or fewer than two: no answer of theirs is
    better than another."""
    lowest = np.where(_graded(grades_Pn), grades_Pn, np.inf).min(1)
    highest = np.where(_graded(grades_Pn), grades_Pn, -np.inf).max(1)
    found: NDArray[np.bool_] = highest <= lowest
    return found


def of_tokens(
    rewards_N: Floats, values_N: Floats, discount: float, trace: float
) -> tuple[Floats, Floats]:
    """Advantages and returns of the tokens of one answer (Schulman et al. 2016, GAE, eq. 16).

        δ_t = r_t + g V_{t+1} − V_t        A_t = δ_t + g λ A_{t+1}        R_t = A_t + V_t

    Args:
        rewards_N: what each token brought; the grade of the answer is its last token's.
        values_N: what the critic expected before each token; behind the last it is 0.
        discount: g, of what comes a token later.
        trace: λ; 1 trusts what came, 0 the critic.
    """
    ahead_N = np.append(values_N[1:], 0.0)
    delta_N = rewards_N + discount * ahead_N - values_N
    advantages_N = np.zeros_like(delta_N)
    following = 0.0
    for token in range(len(delta_N) - 1, -1, -1):
        following = delta_N[token] + discount * trace * following
        advantages_N[token] = following
    return advantages_N, advantages_N + values_N


def whitened(advantages: Sequence[Floats]) -> list[Floats]:
    """The advantages of all tokens of a step, with a mean of 0 and a spread of 1 over them."""
    all_of_them = np.concatenate(advantages)
    mean, std = all_of_them.mean(), all_of_them.std()
    return [(each - mean) / (std + _LEAST_STD) for each in advantages]


def _graded(grades_Pn: Floats) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = ~np.isnan(grades_Pn)
    return found
