"""Reward accuracy: how often a model's implicit reward agrees with people on rows never seen.

A pair is right where the chosen answer has the higher reward; equal ones count half. Of rated
answers it is the chance that a liked one has a higher reward than a disliked one: the area under
the ROC curve, Mann & Whitney's U. Under "ratio" the base's reward is 0 for every answer, so it
starts at one half; else the base's own log-probabilities are what was there before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Floats, Interval, PairedRows, paired_change
from tunesmith.evaluate.judge_figures import balance
from tunesmith.evaluate.preferences.measured import Compared, Implicit, Rated

TITLES: dict[Implicit, str] = {
    "ratio": "log-probability gained over the base",
    "total": "log-probability",
    "mean": "log-probability per token",
}


def margins(pairs: Sequence[Compared], implicit: Implicit) -> tuple[Floats, Floats]:
    """The reward of the chosen minus that of the rejected answer in nats, by base and tuned (R)."""
    base_R2, tuned_R2, tokens_R2 = (
        np.array([getattr(pair, name) for pair in pairs], dtype=np.float64).reshape(-1, 2)
        for name in ("base", "tuned", "tokens")
    )
    if implicit == "ratio":
        tuned_R2, base_R2 = tuned_R2 - base_R2, np.zeros_like(base_R2)
    elif implicit == "mean":
        base_R2, tuned_R2 = (each / np.maximum(tokens_R2, 1) for each in (base_R2, tuned_R2))
    return base_R2[:, 0] - base_R2[:, 1], tuned_R2[:, 0] - tuned_R2[:, 1]


def pair_figures(pairs: Sequence[Compared], implicit: Implicit, seed: int) -> dict[str, Any] | None:
    """Accuracy and margin of both models, each with an interval; None without pairs."""
    if not pairs:
        return None
    base_R, tuned_R = margins(pairs, implicit)
    draws = derive(seed, "bootstrap", "margin")
    margin = paired_change(PairedRows(base_R, tuned_R, np.ones(len(pairs))), draws)
    own = margins(pairs, "total")[0]
    return {
        "accuracy": told(balance(np.sign(tuned_R).tolist())),
        "before": told(balance(np.sign(base_R).tolist())),
        "base_prefers": told(balance(np.sign(own).tolist())),
        "margin": {"base": float(base_R.mean()), "tuned": float(tuned_R.mean()), **told(margin)},
    }


def rating_figures(ratings: Sequence[Rated], implicit: Implicit) -> dict[str, Any] | None:
    """The area under the ROC curve of both models; None without liked and disliked answers."""
    liked_R = np.array([rated.liked for rated in ratings], dtype=bool)
    if liked_R.all() or not liked_R.any():
        return None
    base_R, tuned_R, tokens_R = (
        np.array([getattr(rated, name) for rated in ratings], dtype=np.float64)
        for name in ("base", "tuned", "tokens")
    )
    if implicit == "ratio":
        base_R, tuned_R = np.zeros_like(base_R), tuned_R - base_R
    elif implicit == "mean":
        base_R, tuned_R = (each / np.maximum(tokens_R, 1) for each in (base_R, tuned_R))
    return {
        "accuracy": told(_area(tuned_R, liked_R)),
        "before": told(_area(base_R, liked_R)),
    }


def told(found: Interval) -> dict[str, Any]:
    """As it stands in JSON."""
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


def _area(reward_R: Floats, liked_R: NDArray[np.bool_]) -> Interval:
    """The area and its interval by DeLong et al. 1988, Comparing the Areas under Two or More
    Correlated ROC Curves; where all pairs are right, or none, the rule of three is its end."""
    ranks_R, likes = rankdata(reward_R), int(liked_R.sum())
    others = len(liked_R) - likes
    # How many of the other kind each liked answer beats, and each disliked one is beaten by.
    beats_L = (ranks_R[liked_R] - rankdata(reward_R[liked_R])) / others
    beaten_D = 1 - (ranks_R[~liked_R] - rankdata(reward_R[~liked_R])) / likes
    value, fewest = float(beats_L.mean()), min(likes, others)
    reach = 1.96 * float(np.sqrt(beats_L.var() / likes + beaten_D.var() / others))
    if value in (0.0, 1.0):
        reach = min(1.0, 3 / fewest)
    return Interval(value, max(0.0, value - reach), min(1.0, value + reach), len(liked_R))
