"""Whole runs of methods unlike LoRA: the base, parity, resuming, chat, promotion."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import LeaveAt, Left, assert_same_training, nothing_measured, recipe
from tunesmith.core.errors import Unsupported
from tunesmith.core.files import read_json
from tunesmith.runs import plan as planning
from tunesmith.runs.open import open_run
from tunesmith.runs.promote import promote
from tunesmith.runs.setup import set_up
from tunesmith.runs.train import train

METHODS = {
    "prompt_tuning": {"model__method": "prompt_tuning", "model__virtual_tokens": 4},
    "pissa": {"model__init": "pissa", "model__rank": 4},
}
FEW = {"evaluate__rows": 6, "evaluate__max_new_tokens": 4, "data__context": 120}


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_measure", nothing_measured)


@pytest.fixture
def plain(tiny_base: Path, colours: Path, tmp_path: Path) -> Path:
    """A run that trains the base's own weights."""
    out = tmp_path / "plain"
    train(recipe(tiny_base, colours, model__method="full", engine__max_steps=1, **FEW), out)
    return out


@pytest.mark.filterwarnings("ignore:Position ids are not supported")
@pytest.mark.parametrize("name", METHODS)
def test_a_run_is_resumed_measured_served_and_promoted(
    tiny_base: Path,
    colours: Path,
    tmp_path: Path,
    plain: Path,
    name: str,
) -> None:
    asked = recipe(tiny_base, colours, **METHODS[name], **FEW)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(asked, whole)
    with pytest.raises(Left):
        train(asked, broken, watcher=LeaveAt(5))
    train(None, broken, resume=True)
    assert_same_training(whole, broken)

    run = open_run(whole)
    assert run.verdict["parity"]["pass"]
    assert isinstance(run.chat("Box 3 is red. Which colour is box 3?", max_new_tokens=4), str)
    promote(whole, "boxes", tmp_path / "home", because="a test")

    # What was measured before training is the base, not the base behind an untrained adapter.
    base, wanted = read_json(whole / "measured_base.json"), read_json(plain / "measured_base.json")
    assert base["held_out"] == wanted["held_out"]
    assert base["probes"] == wanted["probes"]


def test_learned_tokens_leave_less_of_the_context(tiny_base: Path, colours: Path) -> None:
    asked = recipe(tiny_base, colours, model__method="prompt_tuning", model__virtual_tokens=8)
    assert set_up(asked).recipe.data.context == 120
    with pytest.raises(Unsupported, match=r"reads at most 120 behind 8 virtual ones\."):
        set_up(
            recipe(
                tiny_base,
                colours,
                model__method="prompt_tuning",
                model__virtual_tokens=8,
                data__context=128,
            )
        )
    with pytest.raises(Unsupported, match=r"virtual_tokens is 65, more than half of the 128"):
        set_up(recipe(tiny_base, colours, model__method="prefix_tuning", model__virtual_tokens=65))
