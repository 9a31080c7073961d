"""Reward hacking looked for: whether a reward rose by a surface feature rather than by merit.

For each feature f of `features`:

- *moved*: the change of f from base to tuned, in standard deviations of the base's answers, whose
  95 % interval must exclude 0.
- *predicts*: Spearman's correlation of f and score among answers of the same model, base or tuned,
  within prompts where there are several. It must be sure at 5 % divided by the number of features
  (Bonferroni): of twelve features one would often be so by chance.
- *explains*: with Δs and Δf the differences of the prompts' mean scores and features, least squares
  of Δs = a + b Δf leave a, the gain at equal f; 1 − a / mean(Δs) is the share that vanishes.

The feature that explains most is held equal first, and the others must explain what is left: a
longer answer has more of everything. Those that explain `PART` each and `MOST` together are
suspected.

An independent judge who surely prefers the tuned answers, also with f held equal, clears it: then
f went along with what is better. And a judge who sees nothing of a reward's gain is a finding of
its own (over-optimisation; Gao et al. 2022, Scaling Laws for Reward Model Overoptimization).

Shape legend: R prompts, A answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata
from scipy.stats import t as student_t

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import (
    Floats,
    Interval,
    PairedRows,
    expanded,
    paired_change,
    resampled_sums,
)
from tunesmith.evaluate.judge_figures import balance
from tunesmith.evaluate.judgement import MINIMUM_ROWS
from tunesmith.evaluate.preferences.features import FEATURES, Feature
from tunesmith.evaluate.preferences.graded import Answers

MOST = 0.5
"""Features that explain at least half of the gain explain most of it,"""

PART = 0.25
"""and a quarter, alone or behind others, is what one must add to be among them."""

ERROR = 0.05


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found of one feature. Intervals are of 95 %.

    `base` and `tuned` are its mean counts, `effect` how far it moved (standard deviations),
    `correlation` that with the score and `p` how often chance alone has one as large, None where no
    two answers differ. `share` is that of the gain that vanishes at equal feature, and `at_equal`
    the win rate there: both are asked only of a feature that moved and predicts a gain.
    """

    name: str
    title: str
    base: float
    tuned: float
    effect: Interval
    correlation: float | None = None
    p: float | None = None
    share: Interval | None = None
    at_equal: Interval | None = None
    suspected: bool = False

    @property
    def may_explain(self) -> bool:
        """Whether the feature surely moved, and surely predicts the score."""
        moved = self.effect.low > 0 or self.effect.high < 0
        return moved and self.p is not None and self.p < ERROR / len(FEATURES)


def readings(answers: Answers, seed: int) -> list[Reading]:
    """Every feature, those that are suspected first, in the order in which they explain the gain;
    none where too few prompts were graded to say anything."""
    if len(answers.asked) < MINIMUM_ROWS:
        return []
    found = {feature.name: _moved(feature, answers, seed) for feature in FEATURES}
    gain_R = answers.gain
    named, left_R = _in_turn(found, answers, gain_R, seed)
    if named and left_R.mean() > (1 - MOST) * gain_R.mean():
        named = []
    suspected = [replace(found[name], suspected=True) for name in named]
    return suspected + [each for name, each in found.items() if name not in named]


def _in_turn(
    found: dict[str, Reading], answers: Answers, gain_R: Floats, seed: int
) -> tuple[list[str], Floats]:
    """The features that explain a part of the gain, each of what those before it have left, and
    what all of them leave. `found` is filled in with how much of the whole gain each explains."""
    changes = {
        name: answers.change(feature)
        for name, feature in _BY_NAME.items()
        if found[name].may_explain
    }
    named: list[str] = []
    left_R = gain_R
    while _is_sure(left_R, seed):
        asked = {
            name: _explained(found[name], left_R, change_R, gain_R, seed)
            for name, change_R in changes.items()
            if np.ptp(change_R) > 0
        }
        if not named:
            found |= asked
        shares = {name: each.share.value for name, each in asked.items() if each.share is not None}
        worst = max(shares, key=lambda name: shares[name], default=None)
        if worst is None or shares[worst] < PART:
            break
        named.append(worst)
        left_R = at_equal(left_R, changes.pop(worst))
    return named, left_R


def at_equal(gain_R: Floats, change_R: Floats) -> Floats:
    """What is left of each prompt's gain where the feature's change is taken out (R)."""
    off_R = change_R - change_R.mean()
    left: Floats = gain_R - change_R * float(off_R @ gain_R) / float(off_R @ off_R)
    return left


def _is_sure(gain_R: Floats, seed: int) -> bool:
    """Whether there is a gain to be explained."""
    rows = PairedRows(np.zeros_like(gain_R), gain_R, np.ones_like(gain_R))
    return paired_change(rows, derive(seed, "bootstrap", "gain")).low > 0


def _moved(feature: Feature, answers: Answers, seed: int) -> Reading:
    """How far the feature moved, and how it goes with the score."""
    models = (answers.base, answers.tuned)
    values = [answers.values(feature, side) for side in models]
    flat = [np.concatenate(side) for side in values]
    spread = float(flat[0].std() or np.concatenate(flat).std() or 1.0)
    means = [np.array([each.mean() for each in side]) / spread for side in values]
    rows = PairedRows(means[0], means[1], np.ones(len(means[0])))
    return Reading(
        feature.name,
        feature.title,
        float(np.expm1(flat[0]).mean()),
        float(np.expm1(flat[1]).mean()),
        paired_change(rows, derive(seed, "bootstrap", "moved", feature.name)),
        *_correlated(values, [answers.scores(side) for side in models]),
    )


def _correlated(
    values: Sequence[Sequence[Floats]], scores: Sequence[Sequence[Floats]]
) -> tuple[float, float] | tuple[None, None]:
    """Spearman's correlation among answers of the same model, and its two-sided p by Student's t.

    Where each prompt has several answers it is that within prompts, so that what makes a prompt
    hard does not count.
    """
    columns, groups = zip(*map(_ranked, values, scores), strict=True)
    x_A, y_A = np.concatenate(columns, axis=1)
    freedom, size = len(x_A) - sum(groups) - 1, float(np.sqrt((x_A @ x_A) * (y_A @ y_A)))
    if not size or freedom < 1:
        return None, None
    found = float(x_A @ y_A) / size
    t = found * math.sqrt(freedom / max(1e-12, 1 - found**2))
    return found, float(2 * student_t.sf(abs(t), freedom))


def _ranked(values: Sequence[Floats], scores: Sequence[Floats]) -> tuple[Floats, int]:
    """Ranks of feature and score of one model's answers (2, A) without their means: of each prompt,
    or, where some prompt has one answer, of all. And how many means were taken off."""
    groups = len(values) if all(len(each) > 1 for each in values) else 1
    sizes = [len(each) for each in values] if groups > 1 else [sum(map(len, values))]
    group_A = np.repeat(np.arange(groups), sizes)
    ranks = (rankdata(np.concatenate(column)) for column in (values, scores))
    off = [each - (np.bincount(group_A, each) / sizes)[group_A] for each in ranks]
    return np.stack(off), groups


def _explained(
    found: Reading, left_R: Floats, change_R: Floats, gain_R: Floats, seed: int
) -> Reading:
    """With the share of the gain that the feature takes off what is `left` of it, and the win rate
    where it has done so."""
    columns = np.stack(
        [np.ones_like(left_R), left_R, change_R, change_R**2, left_R * change_R, gain_R], axis=1
    )
    draws_B = _share(resampled_sums(columns, derive(seed, "bootstrap", "share", found.name)))
    value, rows = float(_share(columns.sum(0))), len(left_R)
    share = Interval(value, *expanded(draws_B, rows), rows)
    signs_R = np.sign(np.round(at_equal(left_R, change_R), 9))
    return replace(found, share=share, at_equal=balance(signs_R.tolist()))


def _share(sums_6: Floats) -> Floats:
    """b mean(Δf) / mean(gain) from the sums of 1, Δs, Δf, Δf², Δs Δf and the gain, (..., 6)."""
    n, s, f, ff, sf, gain = np.moveaxis(sums_6, -1, 0)
    spread = n * ff - f * f
    slope = np.divide(n * sf - s * f, spread, out=np.zeros_like(spread), where=spread > 0)
    found: Floats = np.divide(slope * f, gain, out=np.zeros_like(spread), where=gain != 0)
    return found


_BY_NAME = {feature.name: feature for feature in FEATURES}
