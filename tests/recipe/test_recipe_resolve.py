"""Completing a recipe, and writing it so that it reads back the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.recipe import AUTO, Facts, Recipe, Resolved, describe, dump, load, resolve

Make = Callable[..., Facts]
AUTO_KEYS = {knob.key for knob in describe() if knob.default == AUTO}


def value(recipe: Recipe, key: str) -> object:
    section, field = key.split(".")
    return getattr(getattr(recipe, section), field)


@pytest.mark.parametrize("level", ["none", "quick", "standard", "full"])
@pytest.mark.parametrize("method", ["full", "last_layers", "lora"])
def test_every_auto_is_replaced_and_explained(facts: Make, method: str, level: str) -> None:
    recipe = load(None, [f"model.method={method}", f"evaluate.level={level}"])
    resolved = resolve(recipe, facts())
    assert set(resolved.reasons) == AUTO_KEYS
    assert all(resolved.reasons.values())
    left = {key for key in AUTO_KEYS if value(resolved.recipe, key) == AUTO}
    assert left == {"data.template", "evaluate.metrics", "model.pooling", "objective.problem"}


def test_what_was_asked_for_is_kept_and_needs_no_reason(facts: Make) -> None:
    recipe = load(None, ["engine.epochs=2", "engine.batch_size=5", "engine.warmup=0"])
    resolved = resolve(recipe, facts())
    engine = resolved.recipe.engine
    assert (engine.epochs, engine.batch_size, engine.warmup) == (2, 5, 0.0)
    assert not {"engine.epochs", "engine.batch_size", "engine.warmup"} & set(resolved.reasons)
    # 720 training rows, 5 a step, 2 epochs: 288 steps.
    assert engine.checkpoint_every == 28
    assert resolve(resolved.recipe, facts()).recipe == resolved.recipe


def test_the_recipe_says_what_is_trained_on_and_where(facts: Make) -> None:
    scratch = load(None, ["model.from_scratch=true", "model.method=full", "objective.kind=text"])
    assert resolve(scratch, facts()).recipe.engine.patience == 0
    text = resolve(load(None, ["objective.kind=text"]), facts()).recipe
    assert text.engine.batch_size * 140 > 8000
    on_cpu = resolve(load(None, ["model.device=cpu"]), facts(device="cuda", fast_bfloat16=False))
    assert on_cpu.recipe.model.dtype == "float32"


def test_rows_on_one_context_are_drawn_together_where_it_pays(facts: Make) -> None:
    def chosen(saves: float, *asked: str) -> tuple[object, str]:
        resolved = resolve(load(None, list(asked)), facts(together_saves=saves))
        return resolved.recipe.data.together, resolved.reasons.get("data.together", "")

    assert chosen(0.4) == (True, "rows on one context, drawn together, save 40% of the tokens")
    assert chosen(0.2) == (False, "it would save 20% of the tokens, less than a quarter")
    assert chosen(0.0) == (False, "too few rows share a long context of their own")
    assert chosen(0.4, "data.shuffle=false")[0] is False
    assert chosen(0.0, "data.together=true") == (True, "")


def test_unused_sizes_say_so(facts: Make) -> None:
    reasons = resolve(load(None, ["model.method=full"]), facts()).reasons
    assert reasons["model.rank"] == reasons["model.layers"] == "not used by method full"


def test_max_steps_sets_the_length_where_epochs_are_open(facts: Make) -> None:
    engine = resolve(load(None, ["engine.max_steps=1000"]), facts()).recipe.engine
    assert engine.epochs == 23  # 45 steps an epoch
    assert engine.checkpoint_every == 100
    fixed = ["engine.max_steps=1000", "engine.epochs=1"]
    assert resolve(load(None, fixed), facts()).recipe.engine.checkpoint_every == 5


def test_a_dump_explains_each_auto_at_its_line(facts: Make) -> None:
    resolved = resolve(load(), facts())
    lines = dump(resolved).splitlines()
    explained = [line for line in lines if "  # auto: " in line]
    assert len(explained) == len(AUTO_KEYS)
    (rate,) = [line for line in lines if line.startswith("  learning_rate:")]
    assert re.fullmatch(r"  learning_rate: 0\.00249  # auto: lora: 10 times .*Regret", rate)


def test_a_dump_loads_back_from_another_folder(
    facts: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = [f"examples of shop {number}.jsonl" for number in range(30)]
    asked = load(None, ["data.validation=v.jsonl"], {"data.train": files})
    resolved = resolve(asked, facts())
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "recipe.yaml"
    path.write_text(dump(resolved), encoding="utf-8")
    assert load(path) == resolved.recipe
    # One line a field, so that a reason stands beside its value.
    sections = dict(resolved.recipe)
    assert len(dump(resolved).splitlines()) == 1 + len(sections) + len(describe())


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
tricky = st.sampled_from(
    ["1e-4", "no", "010", "null", "~", "a: b", "#x", "2024-01-01", "<<", "1_0"]
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    base=(names | tricky).filter(lambda name: "/" not in name and set(name) != {"."}),
    files=st.lists(names | tricky, min_size=1, max_size=3),
    rate=st.floats(1e-12, 1),
    reason=st.text(max_size=20),
)
def test_any_recipe_survives_being_written_and_read(
    tmp_path: Path, base: str, files: list[str], rate: float, reason: str
) -> None:
    asked = {"model.base": base, "data.train": files, "engine.learning_rate": rate}
    recipe = load(settings=asked)
    path = tmp_path / "recipe.yaml"
    comment = re.sub(r"[^\x20-\x7e\s]", "", reason)
    path.write_text(dump(Resolved(recipe, {"model.base": comment})), encoding="utf-8")
    assert load(path) == recipe
