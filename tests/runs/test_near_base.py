"""Whole runs held near their base: resumed bit by bit, planned, and told in the metrics."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support import (
    Recorder,
    SignalAt,
    assert_same_training,
    metrics_of,
    nothing_measured,
    recipe,
    saved_weights,
)
from tunesmith.core.errors import Interrupted
from tunesmith.core.files import read_json
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.evaluate.measure import Measured
from tunesmith.models.open import load_weights
from tunesmith.recipe import Recipe
from tunesmith.runs import plan as planning
from tunesmith.runs.train import train

KL = {"objective__kl_to_base": 0.5}
DECAY = {"engine__decay_to_base": 500.0}


def _asked(base: Path, data: Path, **fields: Any) -> Recipe:
    """Four steps an epoch, in micro-batches of a few rows."""
    size = {"engine__batch_size": 10, "engine__tokens_per_micro_batch": 256}
    return recipe(base, data, evaluate__level="none", **size, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"model__method": "lora", "model__dropout": 0.1, **KL},
        {"model__method": "full", "engine__memory": "low", "model__dtype": "bfloat16", **DECAY},
        {"model__method": "last_layers", "model__layers": 1, **KL, **DECAY},
    ],
    ids=["lora", "low memory", "kept states"],
)
def test_a_stopped_run_ends_in_the_same_bits(
    tiny_base: Path,
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
) -> None:
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    asked = _asked(tiny_base, colours, **fields)
    train(asked, tmp_path / "unbroken")
    with pytest.raises(Interrupted):
        train(asked, tmp_path / "stopped", watcher=SignalAt(signal.SIGTERM, 5))
    train(None, tmp_path / "stopped", resume=True)
    assert_same_training(tmp_path / "stopped", tmp_path / "unbroken")


def test_plan_and_metrics_tell_of_it_and_it_acts(
    tiny_base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = Recorder()
    asked = _asked(tiny_base, colours, model__method="full", **KL, **DECAY)
    run = train(asked, tmp_path / "run", watcher=watcher)
    (said,) = {read_json(run.folder.plan)["paths"]["base"]}
    assert said.startswith("The base is run beside the model and weights are pulled to the base; ")
    assert any(said in note for note in watcher.notes)
    drift = [line["kl_to_base"] for line in metrics_of(run.path) if "kl_to_base" in line]
    assert len(drift) == 8
    assert drift[0] == 0.0
    assert drift[-1] > 0
    assert run.recipe.engine.weight_decay == 0
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    plain = train(_asked(tiny_base, colours, model__method="full"), tmp_path / "plain")
    assert "base" not in read_json(plain.folder.plan)["paths"]
    assert all("kl_to_base" not in line for line in metrics_of(plain.path))
    assert _way(tiny_base, run.path) < 0.5 * _way(tiny_base, plain.path)


def _way(base: Path, run: Path) -> float:
    """How far the saved weights are from those of the base."""
    start, saved = load_file(base / "model.safetensors"), saved_weights(run)
    return sum(float((saved[name] - weight).norm()) for name, weight in start.items())


@pytest.mark.parametrize("method", ["full", "head"])
def test_a_whole_model_is_saved_at_the_strength_that_forgets_little_enough(
    tiny_base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Its weights lie between the base's and the trained ones, and are served as judged."""
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    asked = recipe(
        tiny_base,
        colours,
        model__method=method,
        data__validation_share=0.4,
        engine__learning_rate=0.05,
        evaluate__most_forgetting=0.02,
        evaluate__max_new_tokens=1,
    )
    run = train(asked, tmp_path / "run")
    frontier = Measured.from_json(read_json(run.folder.measured)).frontier
    assert frontier
    assert frontier.saved < 1
    detail = run.verdict["kept"]["detail"]["frontier"]
    (saved,) = (each for each in detail["points"] if each["strength"] == frontier.saved)
    assert saved["forgetting"]["high"] <= 0.02 or frontier.saved == 0
    base = dict(load_weights(str(tiny_base), "float32").named_parameters(remove_duplicate=False))
    trained = Checkpoints(run.folder.checkpoints, 2).load_best()
    for name, weight in saved_weights(run.path).items():
        wanted = base[name]
        if name in trained:
            wanted = wanted * (1 - frontier.saved) + trained[name] * frontier.saved
        assert torch.equal(weight, wanted), name
    assert run.verdict["parity"]["pass"] is True
