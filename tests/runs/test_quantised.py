"""Whole runs on a base in 4 bits: resumed bit by bit, and what it cost is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.bases import save_llama
from tests.conftest import make_tokenizer
from tests.labelling import rows, save_base, write
from tests.support import (
    LeaveAt,
    Left,
    Recorder,
    assert_same_training,
    nothing_measured,
    recipe,
)
from tunesmith.core import libraries
from tunesmith.core.errors import Unsupported
from tunesmith.core.files import read_json
from tunesmith.evaluate.measure import Measured
from tunesmith.recipe import Recipe, load
from tunesmith.runs import plan as planning
from tunesmith.runs import unquantised
from tunesmith.runs.labels.setup import set_up_labels
from tunesmith.runs.memory import Room
from tunesmith.runs.open import open_run
from tunesmith.runs.setup import set_up
from tunesmith.runs.train import train

SIZES = {"hidden_size": 128, "intermediate_size": 192, "num_hidden_layers": 2}
FEW = {"evaluate__rows": 6, "evaluate__max_new_tokens": 4, "model__rank": 4}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("bitsandbytes", reason="the extra quantised is not installed")
    folder = tmp_path_factory.mktemp("bases") / "wide"
    return save_llama(folder, make_tokenizer(), seed=5, num_attention_heads=4, **SIZES)


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_measure", nothing_measured)


def _asked(base: Path, data: Path, **fields: Any) -> Recipe:
    return recipe(base, data, model__quantize="nf4", **FEW, **fields)


@pytest.mark.usefixtures("unmeasured")
def test_a_run_is_resumed_and_tells_what_four_bits_cost(
    wide: Path, colours: Path, tmp_path: Path
) -> None:
    whole, broken, told = tmp_path / "whole", tmp_path / "broken", Recorder()
    # Held near its base, with lower layers computed once: what goes with 4 bits goes together.
    asked = _asked(wide, colours, objective__kl_to_base=0.1, model__layers=1)
    train(asked, whole, watcher=told)
    with pytest.raises(Left):
        train(asked, broken, watcher=LeaveAt(5))
    train(None, broken, resume=True)
    assert_same_training(whole, broken)

    run = open_run(whole)
    assert run.verdict["parity"]["pass"]
    assert run.verdict["parity"]["value"] == 0
    found = run.verdict["learned"]["detail"]["rounding"]
    assert found["base"]["quantised"] == run.verdict["learned"]["detail"]["base"]
    assert found["tuned"]["quantised"] == run.verdict["learned"]["detail"]["tuned"]
    assert found["base"]["unquantised"] != found["base"]["quantised"]
    assert found["tuned"]["unquantised"] < found["base"]["unquantised"]
    assert any(note.startswith("Held in nf4, the base itself needs") for note in told.notes)
    assert found["summary"][1:] in run.report.read_text(encoding="utf-8")
    measured = read_json(whole / "measured.json")
    assert Measured.from_json(measured).unquantised is not None
    assert Measured.from_json(measured | {"unquantised": None}).unquantised is None

    plan = read_json(whole / "plan.json")
    assert "held in 4 bits: its weights take" in plan["paths"]["weights"]
    assert plan["parameters"] > 200_000  # packed bytes are half as many
    assert isinstance(run.chat("Box 3 is red. Which colour is box 3?", max_new_tokens=4), str)


@pytest.mark.usefixtures("unmeasured")
def test_where_the_base_has_no_room_otherwise_that_is_said(
    wide: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unquantised, "room", lambda device: Room(1000, "this test"))
    told = Recorder()
    train(_asked(wide, colours, engine__max_steps=1), tmp_path / "run", watcher=told)
    assert any(
        note.startswith("What model.quantize=nf4 costs was not measured: with the base in float32")
        for note in told.notes
    )
    assert open_run(tmp_path / "run").verdict["learned"]["detail"]["rounding"] is None


def test_a_classifier_on_four_bits_learns_and_is_asked_as_it_was_trained(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="the extra quantised is not installed")
    asked = _labelling(tmp_path)
    run = train(asked, tmp_path / "run")
    assert run.verdict["learned"]["pass"] is True
    assert run.verdict["parity"]["value"] == 0.0
    assert "held in 4 bits" in read_json(tmp_path / "run" / "plan.json")["paths"]["weights"]


def test_a_missing_library_is_told_before_anything_is_read(
    tiny_base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    for set_up_one, asked in (
        (set_up, _asked(tiny_base, colours)),
        (set_up_labels, _labelling(tmp_path)),
    ):
        with pytest.raises(Unsupported, match=r"pip install 'tunesmith\[quantised\]'"):
            set_up_one(asked)


def _labelling(folder: Path) -> Recipe:
    base = save_base(folder / "bert", "bert")
    data = write(folder / "rows.jsonl", rows(120))
    return load(
        None,
        (),
        {
            "model.base": str(base),
            "model.quantize": "nf4",
            "model.dtype": "float32",
            "model.rank": 4,
            "data.train": data,
            "objective.kind": "classify",
            "engine.epochs": 6,
            "engine.batch_size": 8,
            "engine.learning_rate": 0.01,
            "engine.patience": 0,
        },
    )
