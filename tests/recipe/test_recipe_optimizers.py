"""engine.optimizer: names, what `auto` makes of them, and pairs that cannot work."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import Facts, load, resolve
from tunesmith.recipe.optimizers import RULES, OptimizerName

FULL = "model.method=full"


def test_the_recipe_knows_the_names_of_the_table() -> None:
    assert set(get_args(OptimizerName)) == RULES.keys()
    assert all(load(None, [FULL, f"engine.optimizer={key}"]) for key in RULES)


@pytest.mark.parametrize("key", RULES)
def test_rate_and_decay_follow_the_table(facts: Callable[..., Facts], key: str) -> None:
    plain = resolve(load(None, [FULL]), facts()).recipe.engine
    resolved = resolve(load(None, [FULL, f"engine.optimizer={key}"]), facts())
    engine, rule = resolved.recipe.engine, RULES[key]
    assert engine.learning_rate == pytest.approx(plain.learning_rate * rule.rate, rel=6e-3)
    assert engine.weight_decay == pytest.approx(plain.weight_decay * rule.decay)
    assert engine.schedule == ("constant" if rule.averages else "cosine")
    if rule.rate != 1:
        assert rule.rate_source in resolved.reasons["engine.learning_rate"]


def test_what_is_asked_for_is_taken_as_it_is(facts: Callable[..., Facts]) -> None:
    asked = ["engine.optimizer=lion", "engine.learning_rate=0.001", "engine.weight_decay=0.3"]
    engine = resolve(load(None, [FULL, *asked]), facts()).recipe.engine
    assert (engine.learning_rate, engine.weight_decay) == (1e-3, 0.3)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["engine.optimizer=galore", "model.method=head"], "head trains none. Set engine.opt"),
        (["engine.optimizer=galore"], "model.method=lora trains none. Set engine.optimizer=adamw"),
        (["engine.optimizer=muon", "model.method=head"], "for hidden matrices"),
        (["engine.optimizer=adafactor"], "what model.method=lora trains begins at zero. Set"),
        (
            [FULL, "engine.optimizer=schedule_free", "engine.schedule=cosine"],
            "would lower it, too. Set engine.schedule=constant",
        ),
        (
            [FULL, "engine.memory=low", "engine.optimizer=schedule_free"],
            "adafactor, lion, galore; and engine.optimizer is schedule_free",
        ),
    ],
)
def test_pairs_that_cannot_work_are_refused(asked: list[str], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        load(None, asked)


@pytest.mark.parametrize("key", [rule.key for rule in RULES.values() if rule.low])
def test_low_memory_takes_what_the_table_says(key: str) -> None:
    assert load(None, [FULL, "engine.memory=low", f"engine.optimizer={key}"])
