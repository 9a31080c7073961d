"""Every recipe that ships is one that loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.recipe import Recipe, load

ROOT = Path(__file__).parents[2]
SHIPPED = sorted([*(ROOT / "recipes").glob("*.yaml"), *(ROOT / "examples").glob("*/recipe.yaml")])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_loads_and_names_its_data(path: Path) -> None:
    recipe = load(path)
    assert recipe.data.require_train()
    assert recipe != Recipe()


def test_there_is_one_for_each_usual_method_and_objective() -> None:
    recipes = [load(path) for path in SHIPPED]
    assert {recipe.model.method for recipe in recipes} == {
        "full",
        "last_layers",
        "head",
        "lora",
        "dora",
        "lora_plus",
        "prompt_tuning",
    }
    assert {recipe.model.init for recipe in recipes} == {"default", "pissa"}
    assert {recipe.objective.kind for recipe in recipes} == {"sft", "text", "grpo", "dpo"}


def test_the_base_is_pretrained_in_the_order_of_its_corpus() -> None:
    recipe = load(ROOT / "recipes" / "anvil.yaml")
    assert recipe.model.from_scratch
    assert recipe.data.shuffle is False
    assert (recipe.engine.optimizer, recipe.engine.schedule) == ("muon", "trapezoid")
