"""Right answers count as learned only where they follow from the question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tunesmith.evaluate.chance import beyond_chance
from tunesmith.evaluate.measure import Answered, Grading, Measured
from tunesmith.evaluate.verdict import judge

Make = Callable[..., Any]
LABELS = Grading(("label_accuracy", "macro_f1"), "classes")
NUMBERS = Grading(("number_match", "length_ratio"), "numbers")


@pytest.fixture
def answered(answers: Make) -> Callable[[Sequence[str], Sequence[str]], tuple[Answered, ...]]:
    def made(wanted: Sequence[str], given: Sequence[str]) -> tuple[Answered, ...]:
        rows = answers({}, rows=len(wanted))
        return tuple(
            replace(each, reference=want, answer=give, exact=want == give)
            for each, want, give in zip(rows, wanted, given, strict=True)
        )

    return made


def judged_with(measured: Measured, answers: Any, grading: Grading) -> Measured:
    assert measured.base is not None
    assert measured.tuned is not None
    silent = tuple(replace(each, answer="", exact=False) for each in answers)
    return replace(
        measured,
        base=replace(measured.base, answers=silent),
        tuned=replace(measured.tuned, answers=answers),
        grading=grading,
    )


def test_shuffled_labels_hold_though_the_loss_fell(measured: Make, answered: Make) -> None:
    """The tuned model names classes as often as they occur: nothing but that could be learned."""
    generator = np.random.default_rng(0)
    wanted, given = (generator.choice(["refund", "card", "pin", "loan"], 48) for _ in range(2))
    verdict = judge(judged_with(measured(), answered(wanted, given), LABELS))
    assert verdict.decision == "hold"
    assert verdict.learned.passed is False
    assert verdict.sentence.startswith(
        "Hold: nothing shows that its answers follow from the questions (label accuracy "
    )
    assert "though on 40 held-out rows the tuned model needs 0.80" in verdict.sentence


def test_always_the_most_frequent_class_is_not_learned(measured: Make, answered: Make) -> None:
    wanted = ["fine"] * 40 + ["broken"] * 8
    found = judge(judged_with(measured(), answered(wanted, ["fine"] * 48), LABELS))
    assert found.learned.passed is False
    assert (
        "(label accuracy 83 %; the same answers dealt to other questions, 83 %)" in found.sentence
    )


def test_worked_answers_with_wrong_results_are_not_learned(measured: Make, answered: Make) -> None:
    wanted = [f"#### {number}" for number in range(48)]
    given = ["4 + 3 = 7\n#### 7"] * 48
    assert judge(judged_with(measured(), answered(wanted, given), NUMBERS)).decision == "hold"


def test_classes_read_from_the_question_are_learned(measured: Make, answered: Make) -> None:
    wanted = ["fine", "broken", "lost", "late"] * 12
    given = ["fine" if place % 5 == 0 else each for place, each in enumerate(wanted)]
    verdict = judge(judged_with(measured(), answered(wanted, given), LABELS))
    assert verdict.decision == "ship"
    beyond = verdict.learned.detail["beyond_chance"]
    assert beyond["low"] > 0.4
    assert beyond["difference"] == pytest.approx(beyond["right"] - beyond["by_chance"])


def test_chance_is_the_mean_over_all_other_questions(answered: Make) -> None:
    wanted, given = list("aabbccabca"), list("abbbcaabba")
    found = beyond_chance(answered(wanted, given), LABELS, 0)
    pairs = [(i, j) for i in range(10) for j in range(10) if i != j]
    assert found is not None
    assert found.by_chance == pytest.approx(
        sum(wanted[i] == given[j] for i, j in pairs) / len(pairs)
    )
    assert found.difference.value == pytest.approx(found.right - found.by_chance)


def test_guessing_seldom_passes_and_half_of_skill_nearly_always_does(answered: Make) -> None:
    """Of 95 % intervals one in forty lies above a truth of zero."""
    generator = np.random.default_rng(1)

    def shown(skill: float) -> bool:
        wanted = generator.choice(list("abcd"), 48, p=[0.4, 0.3, 0.2, 0.1])
        guessed = generator.permutation(wanted)
        given = np.where(generator.random(48) < skill, wanted, guessed)
        found = beyond_chance(answered(wanted, given), LABELS, 0)
        return found is not None and found.shown

    assert sum(shown(0.0) for _ in range(200)) <= 12
    assert sum(shown(0.5) for _ in range(50)) >= 48


@pytest.mark.parametrize(
    ("wanted", "grading"),
    [
        (["same"] * 20, LABELS),
        (["one", "two"] * 3, LABELS),
        (["one", "two"] * 10, Grading(("chrf",), "free text")),
    ],
    ids=["one answer to all", "too few answers", "wording is no right or wrong"],
)
def test_where_it_says_nothing_it_decides_nothing(
    measured: Make, answered: Make, wanted: list[str], grading: Grading
) -> None:
    answers = answered(wanted, ["wrong"] * len(wanted))
    assert beyond_chance(answers, grading, 0) is None
    assert judge(judged_with(measured(), answers, grading)).decision == "ship"
