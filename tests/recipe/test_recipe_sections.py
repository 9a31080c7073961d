"""The sections themselves: frozen, strict, described."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import DataSection, EngineSection, Recipe, describe, json_schema


def test_sections_are_frozen() -> None:
    recipe = Recipe()
    with pytest.raises(ValidationError):
        recipe.engine.epochs = 3  # type: ignore[misc]
    with pytest.raises(ValidationError):
        recipe.engine = EngineSection()  # type: ignore[misc]
    assert hash(Recipe(data=DataSection(train=("a",))))


@pytest.mark.parametrize("value", [True, "3", 1.0])
def test_nothing_is_coerced_to_a_whole_number(value: object) -> None:
    with pytest.raises(ValidationError):
        EngineSection.model_validate({"batch_size": value})


def test_unknown_keys_are_refused_in_python_too() -> None:
    with pytest.raises(ValidationError):
        EngineSection.model_validate({"learning_rat": 1e-4})


def test_training_data_has_no_default_and_one_path_is_a_list() -> None:
    with pytest.raises(RecipeError, match="--data FILE"):
        DataSection().require_train()
    assert DataSection.model_validate({"train": Path("a")}).require_train() == ("a",)
    assert DataSection.model_validate({"train": ["a", Path("b")]}).train == ("a", "b")


def test_every_field_is_described_and_every_number_has_a_unit() -> None:
    knobs = describe()
    assert len(knobs) == len({knob.key for knob in knobs}) > 30
    for knob in knobs:
        assert knob.description.endswith("."), knob.key
        assert "\n" not in knob.description
        if "number" in knob.type:
            assert knob.type.endswith(")"), f"{knob.key} has no unit"


def test_help_says_type_and_default_in_words() -> None:
    knobs = {knob.key: knob for knob in describe()}
    assert knobs["engine.epochs"].type == (
        "auto or a whole number of at least 1 (passes over the data)"
    )
    assert (
        knobs["data.train"].type == "a path, {path: PATH, weight: NUMBER}, a list of these or null"
    )
    assert knobs["model.method"].type.startswith("full, last_layers, head, bias, norm, lora, ")
    assert knobs["model.method"].default == "lora"
    assert knobs["model.rate_ratio"].type == "a number of at least 1 (times)"


def test_the_json_schema_holds_bounds_units_and_reasons() -> None:
    schema = json_schema()
    rate = schema["$defs"]["EngineSection"]["properties"]["learning_rate"]
    assert {"exclusiveMinimum": 0, "maximum": 1, "type": "number"} in rate["anyOf"]
    assert rate["unit"] == "per optimiser step"
    assert "peak" in rate["description"]
    assert schema["additionalProperties"] is False
    json.dumps(schema)


def test_the_room_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, tunesmith.recipe;"
        "print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
