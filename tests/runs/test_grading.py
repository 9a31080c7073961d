"""A run measures of its answers what its rows ask for, and `evaluate` the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import colour_rows
from tests.support import recipe
from tunesmith.core.errors import DataError, RecipeError, Unsupported
from tunesmith.core.records import Origin, Prompt
from tunesmith.recipe import load
from tunesmith.runs.evaluate import evaluate
from tunesmith.runs.grading import graded_by
from tunesmith.runs.setup import set_up
from tunesmith.runs.train import train

ANSWERS = {"json": '{"colour": "red", "n": NUMBER}', "number": "That makes NUMBER."}


def written(path: Path, answer: str, rows: int = 60) -> Path:
    """Conversations that all answer in one form."""
    found = colour_rows(rows)
    for number, row in enumerate(found):
        row["messages"][-1]["content"] = answer.replace("NUMBER", str(number + rows))
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def test_a_run_is_graded_by_its_task(tiny_base: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "rows.jsonl", ANSWERS["json"])
    asked = recipe(
        tiny_base,
        data,
        engine__max_steps=1,
        evaluate__patterns={"red": "red"},
        evaluate__examples=0,
        evaluate__max_new_tokens=4,
    )
    run = train(asked, tmp_path / "run")
    learned = run.verdict["learned"]["detail"]
    found = {each["key"]: each for each in learned["properties"]}
    assert list(found) == ["json_valid", "json_fields", "red"]
    assert learned["metrics"]["why"] == "every held-out answer is a JSON object or array"
    assert learned["noise_floor"]["rows"] == 16
    assert 0 <= learned["noise_floor"]["value"] < 1e-3
    kept = load(run.folder.recipe)
    assert kept.evaluate.metrics == ("json_valid", "json_fields")
    again = train(None, _unjudged(run.folder.verdict), resume=True)
    assert again.verdict["learned"] == run.verdict["learned"]
    new = written(tmp_path / "new.jsonl", ANSWERS["json"], rows=12)
    judged = evaluate(run, new)["learned"]["detail"]
    assert [each["key"] for each in judged["properties"]] == list(found)


def _unjudged(verdict: Path) -> Path:
    """The folder of a run that was killed while it was judged."""
    verdict.unlink()
    return verdict.parent


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"evaluate__metrics": ("bleu", "json_fields")},
            r"names json_fields \(JSON field F1\), which cannot .*: none of them is a JSON object",
        ),
        ({"evaluate__metrics": ("tool_calls",)}, "none calls a tool, or the template writes calls"),
        ({"evaluate__patterns": {"open": "("}}, r"evaluate\.patterns\.open is '\('"),
        ({"evaluate__metrics": ("code_passes",)}, r"executes code .* evaluate\.run_code is false"),
        (
            {"evaluate__metrics": ("code_passes",), "evaluate__run_code": "limits_only"},
            "no row has a field `tests`",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_run(
    tiny_base: Path, tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    data = written(tmp_path / "rows.jsonl", ANSWERS["number"])
    with pytest.raises(RecipeError, match=said):
        set_up(recipe(tiny_base, data, **fields))


def test_metrics_that_are_named_are_kept(tiny_base: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "rows.jsonl", ANSWERS["number"])
    setup = set_up(recipe(tiny_base, data, evaluate__metrics=("bleu", "number_match")))
    assert setup.grading.metrics == ("bleu", "number_match")
    assert setup.grading.reason == "evaluate.metrics names them"
    assert set_up(recipe(tiny_base, data)).grading.metrics == ("number_match", "length_ratio")


def test_rows_of_another_task_than_the_runs_choose_for_themselves(
    tiny_base: Path, tmp_path: Path
) -> None:
    data = written(tmp_path / "rows.jsonl", ANSWERS["number"])
    prompts = set_up(recipe(tiny_base, data)).held_out.prompts
    of_json = recipe(tiny_base, data, evaluate__metrics=("json_valid", "json_fields"))
    assert graded_by(of_json, prompts).grading.metrics == ("number_match", "length_ratio")
    half = recipe(tiny_base, data, evaluate__metrics=("json_valid", "bleu"))
    assert graded_by(half, prompts).grading.reason == (
        "evaluate.metrics names them; left out, as the held-out answers do not fit: json_valid"
    )


def test_code_is_run_where_the_recipe_allows_it(tiny_base: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    rows = [
        {"prompt": f"Set x to {n}.", "completion": f"x = {n}", "tests": [f"assert x == {n}"]}
        for n in range(40)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = recipe(
        tiny_base,
        data,
        engine__max_steps=1,
        evaluate__examples=0,
        evaluate__metrics=("code_passes",),
        evaluate__run_code="limits_only",
    )
    run = train(asked, tmp_path / "run")
    learned = run.verdict["learned"]["detail"]
    assert [each["key"] for each in learned["properties"]] == ["code_passes"]
    assert sum(learned["code"]["tuned"].values()) == learned["properties"][0]["n"]
    assert "protects against slips, not against intent" in learned["code"]["summary"]
    assert "code passes its tests" in run.report.read_text()
    new = tmp_path / "new.jsonl"
    new.write_text("".join(json.dumps({**row, "prompt": f"y{row}"}) + "\n" for row in rows[:9]))
    assert evaluate(run, new)["learned"]["detail"]["code"]["tuned"]


def test_code_is_not_run_where_it_cannot_be_walled_off(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text(
        "".join(
            json.dumps({"prompt": f"{n}?", "completion": f"x = {n}", "tests": "pass"}) + "\n"
            for n in range(40)
        )
    )
    monkeypatch.setattr("tunesmith.core.sandbox.run.walls", list)
    asked = recipe(tiny_base, data, evaluate__metrics=("code_passes",), evaluate__run_code=True)
    with pytest.raises(Unsupported, match="cannot be walled off"):
        set_up(asked)


def test_tests_that_no_row_passes_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    rows = [{"prompt": f"{n}?", "completion": f"x = {n}", "tests": "assert y"} for n in range(40)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = recipe(
        tiny_base,
        data,
        evaluate__metrics=("code_passes",),
        evaluate__run_code="limits_only",
    )
    with pytest.raises(DataError, match=r"raised an exception \(NameError: name 'y'.*first 8"):
        set_up(asked)


def test_no_way_around_the_recipe_runs_code(tiny_base: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "rows.jsonl", ANSWERS["number"])
    allowed = recipe(
        tiny_base, data, evaluate__metrics=("code_passes",), evaluate__run_code="limits_only"
    )
    changed = {"evaluate": allowed.evaluate.model_copy(update={"run_code": False})}
    prompts = [Prompt(Origin("rows", 1), (), np.array([1], np.int32), "x = 1", tests="pass")]
    assert graded_by(allowed, prompts).grader.sandbox is not None
    with pytest.raises(RecipeError, match="executes code"):
        graded_by(allowed.model_copy(update=changed), prompts)
