"""The verdict on a model that labels: its figures against scikit-learn's, and what it decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from tunesmith.core.records import Origin
from tunesmith.evaluate.labels import scores
from tunesmith.evaluate.labels.calibration import (
    answered,
    calibration_error,
    fit_temperature,
    negative_log_likelihood,
    probabilities,
    reliability,
    threshold_for,
)
from tunesmith.evaluate.labels.measured import Calibration, Certificate, LabelMeasured, Rival, Said
from tunesmith.evaluate.labels.page import render_labels
from tunesmith.evaluate.labels.rivals import CONSTANT, LINEAR, NEAREST, Rivals
from tunesmith.evaluate.labels.verdict import judge_labels

NAMES = ("broken", "late", "lost")


def _said(wanted: Any, said: Any, sure: float = 0.9) -> Said:
    return Said(Origin("rows", 1), tuple(wanted), tuple(said), sure, "where is it?")


def _rows(right: int, wrong: int) -> tuple[Said, ...]:
    good = [_said((NAMES[n % 3],), (NAMES[n % 3],)) for n in range(right)]
    bad = [_said((NAMES[n % 3],), (NAMES[(n + 1) % 3],)) for n in range(wrong)]
    return tuple(good + bad)


def _measured(**changes: Any) -> LabelMeasured:
    """57 of 60 right where a constant has 20 and the best simple way 42."""
    ours = _rows(57, 3)
    found = LabelMeasured(
        "single_label",
        NAMES,
        held_out=ours,
        trained=_rows(60, 0),
        rivals=(
            Rival(CONSTANT, "the commonest class for every row", _against(ours, 20)),
            Rival(LINEAR, "logistic regression on the frozen base", _against(ours, 42)),
        ),
        calibration=Calibration(1.2, 0.08, 0.02, ((0.9, 0.95, 60),)),
        certificate=Certificate(1e-7, 60, 60, 1e-4),
    )
    return replace(found, **changes)


def _against(rows: tuple[Said, ...], right: int) -> tuple[Said, ...]:
    return tuple(
        _said(row.wanted, row.wanted if n < right else ("nothing",)) for n, row in enumerate(rows)
    )


def test_a_model_that_learned_and_beats_simpler_ways_ships() -> None:
    verdict = judge_labels(_measured())
    assert verdict.decision == "ship"
    assert "95 % accuracy" in verdict.sentence
    assert verdict.kept.passed is None
    assert LabelMeasured.from_json(_measured().to_json()) == _measured()


@pytest.mark.parametrize(
    ("changes", "question"),
    [
        ({"held_out": _against(_rows(60, 0), 21)}, "learned"),
        (
            {"held_out": _against(_rows(60, 0), 38), "trained": _rows(60, 0)},
            "memorised",
        ),
        ({"certificate": Certificate(0.2, 60, 60, 1e-4)}, "parity"),
        ({"certificate": Certificate(0.0, 60, 59, 1e-4)}, "parity"),
    ],
)
def test_what_fails_holds_and_is_named(changes: Any, question: str) -> None:
    verdict = judge_labels(_measured(**changes))
    assert verdict.decision == "hold"
    answer = getattr(verdict, question)
    assert answer.passed is False
    assert answer.detail["summary"] in verdict.sentence


def test_a_simpler_way_that_is_as_good_makes_it_not_worth() -> None:
    ours = _rows(57, 3)
    rivals = (
        Rival(CONSTANT, "the commonest class for every row", _against(ours, 20)),
        Rival(LINEAR, "logistic regression on the frozen base", _against(ours, 42)),
        Rival(NEAREST, "the 5 nearest training rows", _against(_rows(60, 0), 57)),
    )
    worth = judge_labels(_measured(rivals=rivals)).worth
    assert worth.passed is False
    assert worth.detail["best"] == NEAREST


def test_figures_are_scikit_learns() -> None:
    rows = _rows(40, 7)
    wanted, said = [row.wanted[0] for row in rows], [row.said[0] for row in rows]
    found = scores.figures(rows, "single_label", NAMES)
    assert found["accuracy"] == pytest.approx(accuracy_score(wanted, said))
    assert found["macro-F1"] == pytest.approx(f1_score(wanted, said, average="macro"))
    sets = [_said(("late", "lost"), ("late",)), _said(("broken",), ("broken",)), _said((), ())]
    several = scores.figures(sets, "multi_label", NAMES)
    assert several["F1 of a row"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert several["micro-F1"] == pytest.approx(4 / 5)
    numbers = [_said(("1.0",), ("2.0",)), _said(("3.0",), ("3.5",))]
    assert scores.figures(numbers, "regression", ())["mean absolute error"] == pytest.approx(0.75)
    assert scores.confusions(rows)[0][2] == 3


def test_a_temperature_mends_what_is_too_sure() -> None:
    draw = np.random.default_rng(0)
    true_RC = draw.normal(size=(4000, 5)) * 2
    chances = probabilities(true_RC, "single_label")
    labels_R = np.array([draw.choice(5, p=row) for row in chances])
    found = fit_temperature(true_RC * 3, labels_R, "single_label")
    assert found == pytest.approx(3, rel=0.1), "three times too sure"
    right_R = true_RC.argmax(1) == labels_R
    errors = [
        calibration_error(
            reliability(probabilities(true_RC * 3, "single_label", t).max(1), right_R)
        )
        for t in (1.0, found)
    ]
    assert errors[0] > 0.15
    assert errors[1] < 0.03
    several = (draw.random((4000, 5)) < probabilities(true_RC, "multi_label")).astype(float)
    assert fit_temperature(true_RC * 2, several, "multi_label") == pytest.approx(2, rel=0.1)


def test_rows_that_are_all_right_say_little_of_the_temperature() -> None:
    logits_RC = np.eye(3)[[0, 1, 2] * 10] * 4
    labels_R = np.array([0, 1, 2] * 10)
    temperature = fit_temperature(logits_RC, labels_R, "single_label")
    assert probabilities(logits_RC, "single_label", temperature).max() < 0.99
    assert fit_temperature(logits_RC[:5], labels_R[:5], "single_label") == 1.0
    sure = negative_log_likelihood(logits_RC, labels_R, "single_label", 0.1)
    assert sure < 1e-6, "which plain likelihood would choose"


def test_a_threshold_leaves_a_share_to_a_person() -> None:
    sure_R = np.linspace(0.01, 1, 100)
    right_R = sure_R > 0.3
    assert (sure_R < threshold_for(sure_R, 0.2)).mean() == pytest.approx(0.2)
    assert threshold_for(sure_R, 0.0) == 0.0
    left = answered(sure_R, right_R)
    assert left[0] == (0.0, 0.0, 0.7)
    assert [right for _, _, right in left] == sorted(right for _, _, right in left)


@pytest.mark.parametrize("problem", ["single_label", "multi_label", "regression"])
def test_simple_learners_learn_from_features(problem: str) -> None:
    draw = np.random.default_rng(0)
    centres = np.eye(3, 8) * 4
    kinds = draw.integers(0, 3, 90)
    features = (centres[kinds] + draw.normal(size=(90, 8))).astype(np.float32)
    labels = {
        "single_label": [(NAMES[k],) for k in kinds],
        "multi_label": [(NAMES[k], "any") for k in kinds],
        "regression": [(str(float(k)),) for k in kinds],
    }[problem]
    rivals = Rivals(features[:60], labels[:60], problem, lambda given: labels[60:][: len(given)])
    rows = [_said(each, ("?",)) for each in labels[60:]]
    judged = {rival.name: rival for rival in rivals.judge(features[60:], rows)}
    mean = {
        name: float(scores.row_scores(rival.rows, problem).mean()) for name, rival in judged.items()
    }
    assert mean[NEAREST] > mean[CONSTANT]
    assert mean[LINEAR] == (0.0 if problem == "regression" else 1.0), "as it was given"


def test_the_page_shows_what_is_wrong_and_escapes_it() -> None:
    wrong = Said(Origin("a<b", 3), ("late",), ("lost",), 0.8, "<script>")
    measured = _measured(held_out=(*_rows(59, 0), wrong))
    verdict = judge_labels(measured).to_json()
    ledger = {"rows_in": 120, "trained": 60, "held_out": 60, "dropped": {}}
    page = render_labels(verdict, measured, [], ledger, "model:", {}, {})
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "Said instead" in page
    assert "expected calibration" in page
