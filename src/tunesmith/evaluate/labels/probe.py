"""The linear probe: the best head over a frozen base, by convex optimisation.

    logits = W h + b     W, b of the least regularised loss on h / s, s the deviation of a feature

Logistic regression for classes, ridge regression for numbers, through scikit-learn. A training that
begins with this head instead of a random one does not first spoil the body's states for the sake of
a head that knows nothing (Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features, §3.3).

Shape legend: R rows, D features, C classes, P pairs, B answers of pairs side by side.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

Floats = NDArray[np.float32]

STRENGTH = 0.03
"""scikit-learn's C for features of deviation 1: the best of 0.003 to 1 with ten rows a class, and
it leaves a loss that training can still lower (ours)."""

_STRENGTHS = (0.03, 0.01, 0.003, 0.001, 0.0003)
"""Those that pairs choose from. What people prefer is noisy, and C=0.03 learns the noise by heart:
of two linear rewards on Anvil, each made from half of 1,700 pairs of hh-rlhf-harmless-test, it had
60 % of the other half right and 81 % of its own, and the two agreed with a correlation of 0.35;
chosen among these 62 % and 70 %, and 0.63 (ours)."""

_FOLDS = 4

_FLATTEST = 0.01
"""A feature that hardly varies is scaled as if it varied by this share of the median one: divided
by a deviation near 0 its weight would be enormous, and so the gradients of the layer below."""

_MOST_STEPS = 300


@dataclass(frozen=True, slots=True)
class Probe:
    """A linear head: the weights, and the biases where it has any."""

    weight_CD: Floats
    bias_C: Floats | None

    def __call__(self, features_RD: Floats) -> Floats:
        """What it gives for features, (R, C)."""
        outputs_RC: Floats = features_RD @ self.weight_CD.T
        return outputs_RC if self.bias_C is None else outputs_RC + self.bias_C


def fit_probe(
    features_RD: Floats,
    targets: NDArray[Any],
    problem: str,
    outputs: int,
    *,
    bias: bool,
    balanced: bool = False,
    strength: float = STRENGTH,
) -> Probe:
    """The probe on these rows.

    Args:
        features_RD: what the head reads.
        targets: classes (R) for "single_label", 0 and 1 (R, C) for "multi_label", numbers (R) of
            unit size for "regression".
        problem: which.
        outputs: C; a class that no row has is as likely as the least likely one of a mean row.
        bias: whether the head has one.
        balanced: rare classes count as much as common ones.
        strength: scikit-learn's C; the lower, the nearer to zero are the weights.
    """
    deviation_D = features_RD.std(0, dtype=np.float64)
    floor = _FLATTEST * float(np.median(deviation_D)) or 1.0
    scale_D = np.maximum(deviation_D, floor)
    # Without a bias features are not centred, for that would need one.
    centre_D = features_RD.mean(0, dtype=np.float64) if bias else np.zeros(len(scale_D))
    scaled_RD = (features_RD - centre_D) / scale_D
    learner = LogisticRegression(
        C=strength,
        max_iter=_MOST_STEPS,
        fit_intercept=bias,
        class_weight="balanced" if balanced else None,
    )
    if problem == "regression":
        weights_CD, bias_C = _ridge(scaled_RD, targets, bias)
    elif problem == "multi_label":
        weights_CD, bias_C = _one_each(learner, scaled_RD, targets)
    else:
        weights_CD, bias_C = _classes(learner, scaled_RD, targets, outputs)
    weights_CD = weights_CD / scale_D
    bias_C = bias_C - weights_CD @ centre_D
    return Probe(weights_CD.astype(np.float32), bias_C.astype(np.float32) if bias else None)


def fit_choice(features_BD: Floats) -> Probe:
    """A reward that is linear in features, from pairs of a better answer before a worse one.

    That is logistic regression without a bias on the differences of features, in both directions
    (the model of Bradley & Terry 1952 with linear strengths), as strong as tells pairs best that
    it was not fitted on. What all answers have in common is taken out of it, so that the mean of
    their rewards is 0.
    """
    difference_PD = features_BD[0::2] - features_BD[1::2]
    fold_P = np.arange(len(difference_PD)) % _FOLDS
    strength = STRENGTH
    if len(difference_PD) >= 2 * _FOLDS:
        strength = min(_STRENGTHS, key=lambda each: _unseen_loss(difference_PD, fold_P, each))
    weight_D, mean_D = _choice(difference_PD, strength), features_BD.mean(0)
    shared = float(weight_D @ mean_D) / (float(mean_D @ mean_D) or 1.0)
    return Probe((weight_D - shared * mean_D)[None].astype(np.float32), None)


def _choice(difference_PD: Floats, strength: float) -> Floats:
    """The weights (D) by which the first of two answers has the higher reward."""
    both_RD = np.concatenate([difference_PD, -difference_PD])
    chosen_R = np.repeat([1, 0], len(difference_PD))
    probe = fit_probe(both_RD, chosen_R, "single_label", 2, bias=False, strength=strength)
    weight_D: Floats = np.diff(probe.weight_CD, axis=0)[0]
    return weight_D


def _unseen_loss(difference_PD: Floats, fold_P: NDArray[np.int64], strength: float) -> float:
    """The sum of −log P(the first is better) over all pairs, each by weights of other folds."""
    total = 0.0
    for fold in range(_FOLDS):
        left_P = fold_P == fold
        weight_D = _choice(difference_PD[~left_P], strength)
        total += float(np.logaddexp(0, -(difference_PD[left_P] @ weight_D)).sum())
    return total


def _classes(
    learner: Any, scaled_RD: NDArray[Any], classes_R: NDArray[Any], outputs: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    if len(np.unique(classes_R)) == 1:  # rare classes, of which the rows fitted on have none
        return np.zeros((outputs, scaled_RD.shape[1])), np.zeros(outputs)
    _fit(learner, scaled_RD, classes_R)
    rows_CD, rows_C = learner.coef_, np.broadcast_to(learner.intercept_, len(learner.coef_))
    if len(learner.classes_) == 2:  # scikit-learn keeps the difference of the two alone
        rows_CD, rows_C = np.vstack([-rows_CD, rows_CD]) / 2, np.append(-rows_C, rows_C) / 2
    weights_CD, bias_C = np.zeros((outputs, scaled_RD.shape[1])), np.full(outputs, rows_C.min())
    weights_CD[learner.classes_], bias_C[learner.classes_] = rows_CD, rows_C
    return weights_CD, bias_C


def _one_each(
    learner: Any, scaled_RD: NDArray[Any], targets_RC: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    weights_CD = np.zeros((targets_RC.shape[1], scaled_RD.shape[1]))
    share_C = (targets_RC.sum(0) + 1) / (len(targets_RC) + 2)
    bias_C = np.log(share_C / (1 - share_C))
    for place, targets_R in enumerate(targets_RC.T):
        if len(np.unique(targets_R)) == 2:  # else every row has the class, or none
            _fit(learner, scaled_RD, targets_R)
            weights_CD[place], bias_C[place] = learner.coef_[0], np.ravel(learner.intercept_)[0]
    return weights_CD, bias_C


def _fit(learner: Any, scaled_RD: NDArray[Any], targets_R: NDArray[Any]) -> None:
    """A start need not have converged, so that it did not is no news."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        learner.fit(scaled_RD, targets_R)


def _ridge(
    scaled_RD: NDArray[Any], targets_R: NDArray[Any], bias: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    learner = Ridge(alpha=1 / STRENGTH, fit_intercept=bias).fit(scaled_RD, targets_R)
    return learner.coef_[None, :], np.atleast_1d(np.asarray(learner.intercept_, dtype=float))
