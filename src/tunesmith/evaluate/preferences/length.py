"""Length bias: how much longer the tuned answers are, and who wins between answers as long.

Shape legend: R prompts, B resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Floats, Interval, expanded, resampled_times
from tunesmith.evaluate.judgement import MINIMUM_ROWS
from tunesmith.evaluate.logistic import chance_at_zero
from tunesmith.evaluate.preferences.measured import Drawn, Way
from tunesmith.evaluate.preferences.wins import Wins, win_rate

AS_LONG = 0.1
"""Answers whose lengths differ by at most a tenth are as long as each other."""

DEFINITION = (
    "The length-controlled win rate of Dubois et al. 2024 (Length-Controlled AlpacaEval) without "
    "the terms for the question: P(win) = logistic(a + b tanh(d / rms(d))), d the difference in "
    "tokens, and the rate is logistic(a), the chance at no difference. Beside it stands the plain "
    f"win rate of the prompts whose two answers differ by at most {AS_LONG:.0%} in length. Where "
    "there are few of these, the first is extrapolated."
)


def length_figures(base: Way, tuned: Way, wins: Wins, seed: int) -> dict[str, Any]:
    """Mean lengths in tokens, and the win rate at equal length, in two ways.

    `near` is None where too few prompts have answers about as long as each other.
    """
    before_R, after_R = (_lengths(way, wins.places) for way in (base, tuned))
    rate = win_rate_at_zero(after_R - before_R, wins.wins_R, derive(seed, "bootstrap", "length"))
    ratio_R = np.log(np.maximum(after_R, 1) / np.maximum(before_R, 1))
    alike_R = np.abs(ratio_R) <= math.log(1 + AS_LONG)
    enough = alike_R.sum() >= MINIMUM_ROWS
    near = win_rate(wins.wins_R[alike_R], seed, "near") if enough else None
    return {
        "base": float(before_R.mean()),
        "tuned": float(after_R.mean()),
        "at_equal": _told(rate),
        "near": None if near is None else _told(near),
        "as_long": int(alike_R.sum()),
        "n": len(alike_R),
        "definition": DEFINITION,
    }


def win_rate_at_zero(d_R: Floats, wins_R: Floats, seed: int) -> Interval:
    """The win rate at d = 0 with its interval over resampled prompts; see `DEFINITION`."""
    rows, spread = len(d_R), float(np.sqrt((d_R**2).mean()))
    x_R = np.tanh(d_R / spread) if spread else np.zeros(rows)
    value = float(chance_at_zero(x_R, wins_R, np.ones((1, rows)))[0])
    if rows == 1:
        return Interval(value, value, value, rows)
    times = resampled_times(rows, seed)
    draws_B = np.concatenate([chance_at_zero(x_R, wins_R, times_BR) for times_BR in times])
    return Interval(value, *expanded(draws_B, rows), rows)


def _lengths(way: Way, places: Sequence[int]) -> Floats:
    """The mean length of the answers to each of these prompts."""
    return np.array([_mean_tokens(way.answers[place]) for place in places])


def _mean_tokens(answers: Sequence[Drawn]) -> float:
    return sum(one.tokens for one in answers) / len(answers)


def _told(found: Interval) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}
