"""The linear probe that a head begins as: scikit-learn's own predictions, from plain weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression, Ridge

from tunesmith.evaluate.labels.probe import STRENGTH, Probe, fit_choice, fit_probe

R, D = 120, 6


@pytest.fixture(name="features_RD", scope="module")
def _features() -> NDArray[np.float32]:
    """Of very different sizes, and not centred."""
    generator = np.random.default_rng(0)
    sizes_D = np.array([1, 30, 0.1, 5, 2, 1])
    return ((generator.normal(size=(R, D)) + 3) * sizes_D).astype(np.float32)


def _scaled(features_RD: NDArray[np.float32], *, bias: bool) -> NDArray[Any]:
    wide = features_RD.astype(np.float64)
    return (wide - (wide.mean(0) if bias else 0)) / wide.std(0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("classes", [2, 4])
def test_classes_are_as_likely_as_by_scikit_learn(
    features_RD: NDArray[np.float32], classes: int, bias: bool
) -> None:
    wanted_R = (_scaled(features_RD, bias=True)[:, 0] * 1.5 + 1.5).clip(0, classes - 1).astype(int)
    probe = fit_probe(features_RD, wanted_R, "single_label", classes, bias=bias)
    learner = LogisticRegression(C=STRENGTH, fit_intercept=bias, max_iter=300)
    scaled_RD = _scaled(features_RD, bias=bias)
    theirs = learner.fit(scaled_RD, wanted_R).predict_proba(scaled_RD)
    assert (probe.bias_C is None) is not bias
    np.testing.assert_allclose(softmax(probe(features_RD), axis=1), theirs, atol=2e-4)


def test_rare_classes_can_count_as_much(features_RD: NDArray[np.float32]) -> None:
    wanted_R = (np.arange(R) % 10 == 0).astype(int)
    plain = fit_probe(features_RD, wanted_R, "single_label", 2, bias=True)
    even = fit_probe(features_RD, wanted_R, "single_label", 2, bias=True, balanced=True)
    rare = [softmax(probe(features_RD), axis=1)[:, 1].mean() for probe in (plain, even)]
    assert rare == pytest.approx([0.1, 0.5], abs=0.06)


def test_several_classes_at_once(features_RD: NDArray[np.float32]) -> None:
    scaled_RD = _scaled(features_RD, bias=True)
    wanted_RC = np.stack([scaled_RD[:, 0] > 0, scaled_RD[:, 1] > 1, np.ones(R)], axis=1)
    wanted_RC = wanted_RC.astype(np.float32)
    probe = fit_probe(features_RD, wanted_RC, "multi_label", 3, bias=True)
    chance_RC = expit(probe(features_RD))
    for place in (0, 1):
        learner = LogisticRegression(C=STRENGTH, max_iter=300).fit(scaled_RD, wanted_RC[:, place])
        theirs_R = learner.predict_proba(scaled_RD)[:, 1]
        np.testing.assert_allclose(chance_RC[:, place], theirs_R, atol=2e-4)
    np.testing.assert_allclose(chance_RC[:, 2], (R + 1) / (R + 2), atol=1e-4)  # every row has it


@pytest.mark.parametrize("bias", [True, False])
def test_numbers(features_RD: NDArray[np.float32], bias: bool) -> None:
    scaled_RD = _scaled(features_RD, bias=bias)
    wanted_R = (scaled_RD @ np.arange(D) / 10).astype(np.float32)
    probe = fit_probe(features_RD, wanted_R, "regression", 1, bias=bias)
    theirs_R = Ridge(1 / STRENGTH, fit_intercept=bias).fit(scaled_RD, wanted_R).predict(scaled_RD)
    np.testing.assert_allclose(probe(features_RD)[:, 0], theirs_R, atol=1e-3)


def test_a_feature_that_hardly_varies_gets_no_enormous_weight(
    features_RD: NDArray[np.float32],
) -> None:
    """Some encoders have dead dimensions, of deviation 1e-30."""
    features_RD = features_RD.copy()
    features_RD[:, 2] = np.where(np.arange(R) % 2, 1e-30, 3e-30)
    probe = fit_probe(features_RD, np.arange(R) % 2, "single_label", 2, bias=True)
    assert np.abs(probe.weight_CD).max() < 10


def test_a_class_that_no_row_has_is_the_least_likely(features_RD: NDArray[np.float32]) -> None:
    probe = fit_probe(features_RD, np.arange(R) % 3, "single_label", 5, bias=True)
    of_mean_C = probe(features_RD.mean(0, keepdims=True))[0]
    assert of_mean_C[3:] == pytest.approx([of_mean_C[:3].min()] * 2, abs=1e-4)


def test_one_class_alone_says_nothing(features_RD: NDArray[np.float32]) -> None:
    probe = fit_probe(features_RD, np.ones(R), "single_label", 3, bias=True)
    assert not probe(features_RD).any()


def test_what_people_prefer_is_not_learned_by_heart() -> None:
    """Of a noisy preference the choice is as strong as helps with pairs that it has not seen."""
    generator = np.random.default_rng(0)
    features_BD = generator.normal(size=(1200, 60)).astype(np.float32)
    difference_PD = features_BD[0::2] - features_BD[1::2]
    liked_P = generator.random(600) < expit(0.5 * difference_PD[:, 0])
    for place in np.flatnonzero(~liked_P):  # the better answer first
        features_BD[[2 * place, 2 * place + 1]] = features_BD[[2 * place + 1, 2 * place]]
    seen_BD, unseen_BD = features_BD[:240], features_BD[240:]

    def loss(probe: Probe) -> float:
        margin_P = probe(unseen_BD[0::2] - unseen_BD[1::2])[:, 0]
        return float(np.logaddexp(0, -margin_P).mean())

    both_RD = np.concatenate([d_PD := seen_BD[0::2] - seen_BD[1::2], -d_PD])
    at_one_strength = fit_probe(both_RD, np.repeat([1, 0], 120), "single_label", 2, bias=False)
    fixed = Probe(np.diff(at_one_strength.weight_CD, axis=0), None)
    assert loss(fit_choice(seen_BD)) < np.log(2) < loss(fixed)
