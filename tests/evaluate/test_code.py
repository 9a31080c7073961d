"""Answers that are programs: what is taken for code, how its end is counted, and what is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tunesmith.core.sandbox import Outcome, Sandbox, open_sandbox
from tunesmith.evaluate.measure import Grading, Measured, Side, measure
from tunesmith.evaluate.metrics import METRICS, Grader, choose
from tunesmith.evaluate.metrics.code import program_of
from tunesmith.evaluate.readings import remarks_of
from tunesmith.evaluate.verdict import judge

Make = Callable[..., Any]
TESTS = "assert add(1, 2) == 3"
RIGHT = "Here it is:\n```python\ndef add(a, b):\n    return a + b\n```\nThat adds."


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return open_sandbox(weak=True)


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        ("x = 1", "x = 1"),
        (RIGHT, "def add(a, b):\n    return a + b\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("```sh\nls\n```\n```py\nx = 1\n```", "x = 1\n"),
        ("```sh\nls\n```", "ls\n"),
        ("```Python title=a\nx = 1\n", "x = 1\n"),
        ("  ```python\nx = 1\n  ```", "x = 1\n"),
        ("", ""),
    ],
)
def test_the_code_of_an_answer(answer: str, program: str) -> None:
    assert program_of(answer) == program


def test_each_end_is_counted_by_kind(
    sandbox: Sandbox, prompt: Make, scorer: Any, sampler: Make
) -> None:
    answers = [RIGHT, "def add(a, b):\n    return a", "def add(", "1 / 0", "I cannot"]
    prompts = [replace(prompt(line), tests=TESTS) for line in range(1, 6)] + [prompt(6)]
    grader = Grader([METRICS["code_passes"]], sandbox=sandbox)
    side = measure(scorer, sampler([*answers, "no tests"]), [], [], [], prompts, check=grader)
    assert [each.kinds.get("code_passes") for each in side.answers] == [
        "passed",
        "wrong",
        "syntax",
        "exception",
        "syntax",
        None,
    ]
    passed = [each.properties.get("code passes its tests") for each in side.answers]
    assert passed == [True, False, False, False, False, None]


def test_nothing_is_run_without_a_sandbox(prompt: Make) -> None:
    with pytest.raises(ValueError, match="no sandbox"):
        Grader([METRICS["code_passes"]])(replace(prompt(), tests=TESTS), RIGHT)


def test_it_is_never_chosen_and_needs_tests(prompt: Make) -> None:
    with_tests = [replace(prompt(line, RIGHT), tests=TESTS) for line in range(1, 9)]
    assert "code_passes" not in choose(with_tests).metrics
    assert choose(with_tests, ["code_passes"]).metrics == ("code_passes",)
    assert choose([prompt()], ["code_passes"]).unusable == ("code_passes",)


def _judged(measured: Make, answers: Make) -> Measured:
    found = measured()
    sides = {}
    for name, passes in (("base", 2), ("tuned", 38)):
        given = answers({"code passes its tests": [i < passes for i in range(40)]})
        kinds = ["passed" if i < passes else "time" for i in range(40)]
        given = tuple(
            replace(each, kinds={"code_passes": kind})
            for each, kind in zip(given, kinds, strict=True)
        )
        sides[name] = replace(getattr(found, name), answers=given)
    grading = Grading(("code_passes",), "named", sandbox="walls: no network")
    return replace(found, **sides, grading=grading)


def test_it_is_pass_at_1_with_an_interval_and_a_sentence(measured: Make, answers: Make) -> None:
    given = _judged(measured, answers)
    detail = judge(given).learned.detail
    (found,) = detail["properties"]
    assert (found["kind"], found["key"], found["margin"]) == ("rate", "code_passes", 0.0)
    assert found["change"] == pytest.approx(0.9)
    assert found["low"] < 0.9 < found["high"]
    assert detail["code"]["tuned"] == {"passed": 38, "time": 2}
    assert any(
        "of 40 programs of the tuned model 38 passed the tests, 2 ran out of time; of 40 programs "
        "of the base 2 passed" in said
        for said in remarks_of(detail)
    )
    assert Measured.from_json(given.to_json()) == given


def test_older_measurements_load_and_say_nothing_of_code(measured: Make, answers: Make) -> None:
    given = _judged(measured, answers).to_json()
    for side in ("base", "tuned"):
        for each in given[side]["answers"]:
            del each["kinds"]
    del given["grading"]["sandbox"]
    loaded = Measured.from_json(given)
    assert isinstance(loaded.base, Side)
    assert judge(loaded).learned.detail["code"] is None


def test_an_outcome_passes_only_where_tests_did() -> None:
    assert Outcome("passed").passed
    assert not Outcome("ended").passed
