"""Was it worth it: against the base that is helped instead of trained, on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.evaluate.conftest import make_answers, make_measured, make_scores
from tunesmith.evaluate.measure import Baseline, Cost, Course, Measured, Side
from tunesmith.evaluate.verdict import judge
from tunesmith.evaluate.worth import worth


def _cost(tokens: float, seconds: float) -> Cost:
    return Cost(tokens - 20, 20, seconds, 8)


def baseline(name: str, loss: float, tokens: float = 400, seconds: float = 2.0) -> Baseline:
    """On every row but the last eight of the tuned model's."""
    scores = make_scores(loss, 40)[:32]
    answers = make_answers({"greeting": [i % 2 == 0 for i in range(12)]}, exact=0.5, rows=12)
    return Baseline(
        name, f"{name} in its prompt", Side(scores, (), (), answers, _cost(tokens, seconds))
    )


@pytest.fixture
def found() -> Callable[..., Measured]:
    """A tuned model of 0.8 bits per byte that answers in a second, in 100 tokens."""

    def make(*baselines: Baseline, tokens: float = 100, seconds: float = 1.0) -> Measured:
        measured = make_measured()
        assert measured.tuned is not None
        assert measured.base is not None
        answers = make_answers({"greeting": [True] * 40}, exact=1.0)
        base = replace(measured.base, answers=make_answers({"greeting": [False] * 40}))
        tuned = replace(measured.tuned, answers=answers, cost=_cost(tokens, seconds))
        course = Course(seconds=600)
        return replace(measured, base=base, tuned=tuned, baselines=baselines, course=course)

    return make


def test_the_best_baseline_is_beaten_by_what_the_rows_say(found: Callable[..., Measured]) -> None:
    answer = worth(found(baseline("examples", 1.5), baseline("search", 1.2)))
    assert answer.passed
    assert answer.detail["best"] == "search"
    assert answer.value == pytest.approx(1.2 - 0.8, abs=0.03)
    assert answer.low is not None
    assert answer.high is not None
    assert answer.low < answer.value < answer.high
    assert (answer.unit, answer.n) == ("bits per byte", 32)
    assert "beats the same base with search in its prompt" in answer.detail["summary"]
    assert "100 tokens a request instead of 400" in answer.detail["summary"]


def test_each_baseline_stands_with_its_answers_and_its_cost(
    found: Callable[..., Measured],
) -> None:
    (line,) = worth(found(baseline("examples", 1.5))).detail["baselines"]
    assert line["exact_match"]["base"] == pytest.approx(0.5)
    assert line["exact_match"]["tuned"] == 1.0
    assert line["exact_match"]["n"] == 12, "the prompts that both answered"
    assert [each["name"] for each in line["properties"]] == ["greeting"]
    assert line["cost"]["tokens"] == 400


@pytest.mark.parametrize(
    ("loss", "tokens", "passed"),
    [(0.5, 400, False), (0.8, 400, True), (0.8, 105, False), (1.1, 105, True)],
)
def test_what_is_not_better_must_be_cheaper(
    found: Callable[..., Measured], loss: float, tokens: float, passed: bool
) -> None:
    assert worth(found(baseline("examples", loss, tokens))).passed is passed


def test_a_base_that_needs_no_training_holds_the_run(found: Callable[..., Measured]) -> None:
    verdict = judge(found(baseline("examples", 0.5)))
    assert verdict.decision == "hold"
    assert "is worse than the same base with examples in its prompt" in verdict.sentence


def test_training_pays_by_the_time_that_requests_save(found: Callable[..., Measured]) -> None:
    def pays(**tuned: Any) -> int | None:
        number = worth(found(baseline("examples", 1.5), **tuned)).detail["requests_until_it_pays"]
        assert number is None or isinstance(number, int)
        return number

    assert pays(seconds=1.0) == 601
    assert pays(seconds=1.5) == 1201
    assert pays(seconds=2.0) is None


def test_few_rows_are_not_judged(found: Callable[..., Measured]) -> None:
    few = baseline("examples", 1.5)
    side = replace(few.side, held_out=few.side.held_out[:5], answers=())
    answer = worth(found(replace(few, side=side)))
    assert answer.passed is None
    assert "too_few" in answer.detail


def test_baselines_come_back_from_json(found: Callable[..., Measured]) -> None:
    measured = found(baseline("examples", 1.5))
    assert Measured.from_json(measured.to_json()) == measured


def test_without_a_baseline_it_says_so() -> None:
    answer = worth(make_measured())
    assert (answer.passed, answer.value) == (None, None)
    assert "evaluate.examples" in answer.detail["summary"]
