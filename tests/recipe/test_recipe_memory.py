"""engine.memory: what it chooses, and what it cannot stand beside."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import Facts, load, resolve

LOW = ["engine.memory=low", "model.method=full"]


def test_low_memory_chooses_its_optimizer_and_says_why(facts: Callable[..., Facts]) -> None:
    resolved = resolve(load(None, LOW), facts())
    assert resolved.recipe.engine.optimizer == "adamw_factored"
    assert "engine.memory low" in resolved.reasons["engine.optimizer"]
    assert resolved.recipe.engine.activation_checkpointing is False


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ([*LOW, "engine.optimizer=muon"], "engine.optimizer is muon. Set engine.optimizer=auto"),
        (["engine.memory=low"], "model.method=lora trains none of them. Set engine.memory=normal"),
    ],
)
def test_what_contradicts_it_is_refused(asked: list[str], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        load(None, asked)
