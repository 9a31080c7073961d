"""Requests as recipes: what each method and number becomes, and what no client may say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import AUTO, Recipe
from tunesmith.recipe.schema import path_keys, sections
from tunesmith.serve.errors import ApiError
from tunesmith.serve.jobs.own import KEYS
from tunesmith.serve.jobs.recipe import check, file_ids, recipe_of
from tunesmith.serve.settings import Settings

GRADER = {
    "type": "string_check",
    "name": "same",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.answer }}",
    "operation": "eq",
}
PYTHON = {"type": "python", "name": "own", "source": "def grade(sample, item):\n    return 1.0\n"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def asked(method: str, said: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "model": "anvil",
        "training_file": "file-1",
        "method": {"type": method, method: said},
        **fields,
    }


def translated(request: dict[str, Any], settings: Settings) -> Recipe:
    paths = {each: f"/data/{each}" for each in file_ids(request)}
    return recipe_of(request, settings, paths, seed=7)


def refused(request: dict[str, Any], settings: Settings) -> str:
    with pytest.raises(ApiError) as caught:
        check(request, settings)
    assert caught.value.status == 400
    assert caught.value.message.endswith(".")
    return caught.value.message


def test_the_least_request_leaves_all_to_auto(settings: Settings) -> None:
    request = {"model": "anvil", "training_file": "file-1"}
    recipe = translated(request, settings)
    assert recipe.objective.kind == "sft"
    assert recipe.model.method == "lora"
    assert recipe.data.train == ("/data/file-1",)
    assert (recipe.engine.epochs, recipe.engine.batch_size) == (AUTO, AUTO)
    assert (recipe.engine.learning_rate, recipe.engine.rate_multiplier) == (AUTO, 1.0)
    assert recipe.engine.seed == 7
    assert recipe.evaluate.level == "quick"


def test_old_clients_send_numbers_beside_the_method(settings: Settings) -> None:
    numbers = {"n_epochs": 3, "batch_size": "auto", "learning_rate_multiplier": 0.5}
    request = {
        "model": "anvil",
        "training_file": "file-1",
        "validation_file": "file-2",
        "hyperparameters": numbers,
    }
    recipe = translated(request, settings)
    assert (recipe.engine.epochs, recipe.engine.batch_size) == (3, AUTO)
    assert recipe.engine.rate_multiplier == 0.5
    assert recipe.data.validation == "/data/file-2"


def test_preferences_have_their_beta(settings: Settings) -> None:
    recipe = translated(asked("dpo", {"hyperparameters": {"beta": 0.3}}), settings)
    assert (recipe.objective.kind, recipe.preference.beta) == ("dpo", 0.3)
    assert translated(asked("dpo", {}), settings).preference.beta == AUTO


def test_reinforcement_is_graded_as_asked(settings: Settings) -> None:
    numbers = {"compute_multiplier": 2, "eval_interval": 5, "eval_samples": 9}
    said = {"grader": GRADER, "hyperparameters": {**numbers, "reasoning_effort": "default"}}
    recipe = translated(asked("reinforcement", said), settings)
    assert recipe.objective.kind == "grpo"
    assert recipe.reward.graders == (GRADER,)
    assert (recipe.rollouts.answers, recipe.engine.validate_every) == (16, 5)
    assert recipe.evaluate.rows == 9


@pytest.mark.parametrize(
    ("method", "said", "words"),
    [
        ("supervised", {"hyperparameters": {"n_epochs": 51}}, "a whole number from 1 to 50"),
        ("supervised", {"hyperparameters": {"n_epochs": True}}, "received True"),
        ("supervised", {"hyperparameters": {"batch_size": 0}}, "from 1 to 256"),
        ("supervised", {"hyperparameters": {"learning_rate_multiplier": 0}}, "above 0"),
        ("supervised", {"hyperparameters": {"beta": 0.1}}, "beta is no hyperparameter"),
        ("dpo", {"hyperparameters": {"beta": 2.1}}, "a number above 0 to 2"),
        ("reinforcement", {}, "grader is missing"),
        ("reinforcement", {"grader": {"type": "python"}}, "source"),
        ("reinforcement", {"grader": PYTHON}, "python_graders"),
        ("reinforcement", {"grader": {"type": "function", "path": "/x.py"}}, "names a file"),
        ("reinforcement", {"grader": {"type": "model", "run": "/runs/x"}}, "names a file"),
        (
            "reinforcement",
            {"grader": GRADER, "hyperparameters": {"reasoning_effort": "high"}},
            "reasoning_effort",
        ),
        ("tunesmith", {"recipe": {"data": {"template": "/etc/passwd"}}}, "data.'template'"),
        ("tunesmith", {"recipe": {"model": {"base": "owner/name"}}}, "cannot be set by a job"),
        ("tunesmith", {"recipe": {"objective": {"teacher": "a/b"}}}, "cannot be set by a job"),
        ("tunesmith", {"recipe": {"judge": {"url": "http://x"}}}, "is no section"),
        ("tunesmith", {"recipe": {"reward": {"run_code": True}}}, "cannot be set by a job"),
        ("tunesmith", {"recipe": {"objective": {"kind": "magic"}}}, "objective.kind"),
    ],
)
def test_what_no_job_may_say_is_refused_at_once(
    settings: Settings, method: str, said: dict[str, Any], words: str
) -> None:
    assert words in refused(asked(method, said), settings)


def test_a_model_that_is_not_served_is_not_found(settings: Settings) -> None:
    with pytest.raises(ApiError) as caught:
        check({"model": "gpt-4o", "training_file": "file-1"}, settings)
    assert (caught.value.status, caught.value.param) == (404, "model")


def test_code_runs_where_the_operator_allows_it(settings: Settings) -> None:
    allowing = settings.model_copy(update={"python_graders": True})
    recipe = translated(asked("reinforcement", {"grader": PYTHON}), allowing)
    assert recipe.reward.run_code is True


def test_any_recipe_with_files_by_their_ids(settings: Settings) -> None:
    said = {
        "recipe": {
            "objective": {"kind": "classify"},
            "data": {"train": ["file-1", {"path": "file-3", "weight": 0.5}]},
            "evaluate": {"prompt": "file-4"},
        }
    }
    request = asked("tunesmith", said)
    assert file_ids(request) == ("file-1", "file-3", "file-4")
    recipe = translated(request, settings)
    assert recipe.objective.kind == "classify"
    assert recipe.data.require_train() == ("/data/file-1", "/data/file-3")
    assert recipe.evaluate.prompt == "/data/file-4"


def test_keys_that_clients_may_set_are_known_and_name_files_by_id_alone() -> None:
    files = {"data.train", "evaluate.probes", "evaluate.prompt"}
    for section, keys in KEYS.items():
        assert keys <= sections()[section].model_fields.keys()
    allowed = {f"{section}.{key}" for section, keys in KEYS.items() for key in keys}
    assert allowed & path_keys() == files
    unsafe = {"model.base", "objective.teacher", "reward.url", "reward.key_variable"}
    assert not allowed & {*unsafe, "reward.run_code", "evaluate.run_code", "evaluate.check"}


def test_files_are_named_by_text(settings: Settings) -> None:
    with pytest.raises(RecipeError, match="takes ids of files"):
        file_ids(asked("tunesmith", {"recipe": {"data": {"train": [3]}}}))
