"""Graders tried on one answer: the reward, and which flag tells of what went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.serve.test_recipe import GRADER, PYTHON
from tunesmith.runs.grader_trial import Trial, try_grader
from tunesmith.serve.errors import ApiError
from tunesmith.serve.graders import Graders
from tunesmith.serve.settings import Settings

CLOSE = {
    "type": "text_similarity",
    "name": "close",
    "input": "{{ sample.output_json.answer }}",
    "reference": "{{ item.answer }}",
    "evaluation_metric": "fuzzy_match",
}
BOTH = {
    "type": "multi",
    "name": "both",
    "graders": {"same": GRADER, "close": CLOSE},
    "calculate_output": "same / (same - close)",
}


@pytest.fixture
def graders(tmp_path: Path) -> Graders:
    return Graders(Settings(home=tmp_path))


def flags(run: dict[str, Any]) -> list[str]:
    return [name for name, value in run["metadata"]["errors"].items() if value is True]


def test_an_answer_is_graded_in_the_interfaces_shape(graders: Graders) -> None:
    run = graders.run(GRADER, "Paris", {"answer": "Paris"})
    assert (run["reward"], run["sub_rewards"]) == (1.0, {})
    metadata = run["metadata"]
    assert (metadata["name"], metadata["type"]) == ("same", "string_check")
    assert metadata["scores"] == {"same": 1.0}
    assert len(metadata["errors"]) == 14
    assert flags(run) == []


def test_parts_are_told_and_a_formula_without_a_value(graders: Graders) -> None:
    run = graders.run(BOTH, '{"answer": "Pariss"}', {"answer": "Paris"})
    assert run["sub_rewards"]["same"] == 0.0
    assert flags(run) == []
    wrong = {**BOTH, "calculate_output": "close / same"}
    run = graders.run(wrong, '{"answer": "no"}', {"answer": "Paris"})
    assert (run["reward"], flags(run)) == (0.0, ["formula_parse_error"])


def test_what_is_missing_is_the_items_or_the_answers_fault(graders: Graders) -> None:
    assert flags(graders.run(GRADER, "Paris", {})) == ["invalid_variable_error"]
    run = graders.run(CLOSE, "no JSON", {"answer": "Paris"})
    assert (run["reward"], flags(run)) == (0.0, ["sample_parse_error"])


def refusal(graders: Graders, grader: Any, sample: str = "x", item: Any = None) -> str:
    with pytest.raises(ApiError) as caught:
        graders.run(grader, sample, item)
    assert caught.value.status == 400
    return caught.value.message


def test_what_cannot_be_tried_here_is_refused(graders: Graders) -> None:
    assert "reference" in refusal(graders, {**GRADER, "reference": "{% x %}"})
    assert "python_graders" in refusal(graders, PYTHON)
    judge = {"type": "score_model", "name": "j", "model": "m", "input": [GRADER]}
    assert refusal(graders, judge)
    assert "is not run here" in refusal(graders, {"type": "regex", "pattern": "(a+)+$"})
    assert "16,000 are the most" in refusal(graders, GRADER, "x" * 16_001)
    assert "must be an object" in refusal(graders, GRADER, "x", [1])
    many = {"type": "multi", "graders": {f"g{n}": GRADER for n in range(16)}}
    assert "16 are the most" in refusal(graders, {**many, "calculate_output": "g0"})
    often = {**GRADER, "input": "{{ sample.output_text }}" * 9}
    assert "filled in" in refusal(graders, often, "x" * 15_000, {"answer": "a"})


def test_few_graders_are_tried_at_once(graders: Graders, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = (GRADER, "Paris", {"answer": "Paris"})
    statuses = []

    def meanwhile(*given: Any) -> Trial:
        """As if this took long, and another was sent."""
        try:
            graders.run(*asked)
        except ApiError as refused:
            statuses.append(refused.status)
        return try_grader(*given)

    monkeypatch.setattr("tunesmith.serve.graders.try_grader", meanwhile)
    assert graders.run(*asked)["reward"] == 1.0
    assert statuses == [429]


def test_code_that_fails_is_a_flag_with_its_words(tmp_path: Path) -> None:
    graders = Graders(Settings(home=tmp_path, python_graders=True))
    source = "def grade(sample, item):\n    return len(sample['output_text']) / item['by']\n"
    grader = {**PYTHON, "source": source}
    assert graders.run(grader, "four", {"by": 8})["reward"] == 0.5
    run = graders.run(grader, "four", {"by": 0})
    assert flags(run) == ["python_grader_runtime_error"]
    assert "ZeroDivisionError" in run["metadata"]["errors"]["python_grader_runtime_error_details"]
