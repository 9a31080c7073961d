"""`data.mapping`: the one key whose value is a mapping."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import Facts, dump, load, resolve


def test_a_mapping_is_written_and_read_again(tmp_path: Path, facts: Callable[..., Facts]) -> None:
    recipe = load(None, ["data.mapping={my reply: completion, ask: prompt}"])
    assert recipe.data.mapping == {"my reply": "completion", "ask": "prompt"}
    path = tmp_path / "recipe.yaml"
    path.write_text(dump(resolve(recipe, facts())), encoding="utf-8")
    assert load(path).data.mapping == recipe.data.mapping


def test_a_mapping_is_frozen_and_hashed_by_its_content() -> None:
    one, other = (
        load(None, [f"data.mapping={{{names}}}"]) for names in ("a: b, c: d", "c: d, a: b")
    )
    assert hash(one) == hash(other)
    assert one.data.mapping is not None
    with pytest.raises(TypeError, match="never changed"):
        one.data.mapping["a"] = "c"


@pytest.mark.parametrize("value", ["3", "[a, b]", "{a: 3}", "{a: ''}", "reply=completion"])
def test_what_is_no_mapping_of_names_is_refused(value: str) -> None:
    with pytest.raises(RecipeError, match=r"data\.mapping must be a mapping of field names"):
        load(None, [f"data.mapping={value}"])
