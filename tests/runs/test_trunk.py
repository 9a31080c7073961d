"""Whole runs whose frozen part is computed once: as good as without, and resumed bit by bit."""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import (
    Recorder,
    SignalAt,
    assert_same_training,
    metrics_of,
    recipe,
    saved_weights,
)
from tunesmith.core.batch import Batch
from tunesmith.core.errors import Interrupted
from tunesmith.models.trunk_cuts import LayerCut, SiteCut
from tunesmith.recipe import Recipe
from tunesmith.runs import trunk
from tunesmith.runs.train import train

METHODS = {"last_layers": {"layers": 1}, "head": {}, "lora": {"layers": 2}}
# A server that has imported everything and computed nothing, as in the promise of resuming.
_LIVES = multiprocessing.get_context("forkserver")
_LIVES.set_forkserver_preload(["tunesmith.runs.train"])
STOPPED = 17  # of 21 steps of 7 an epoch: in the middle of the third


def _asked(base: Path, data: Path, method: str, **fields: Any) -> Recipe:
    settings = {f"model__{key}": value for key, value in METHODS[method].items()}
    return recipe(
        base,
        data,
        model__method=method,
        engine__max_steps=21,
        engine__batch_size=7,
        engine__validate_every=3,
        evaluate__level="none",
        **settings,
        **fields,
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_run_is_what_it_is_without(
    tiny_base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    watcher = Recorder()
    asked = _asked(tiny_base, colours, method)
    kept = train(asked, tmp_path / "kept", watcher=watcher).path
    plan = json.loads((kept / "plan.json").read_text())["trunk"]
    assert plan["kept"] == "memory"
    assert plan["note"] in watcher.notes
    assert plan["bytes"] > 0
    monkeypatch.setattr(trunk, "MEMORY_SHARE", 0)
    monkeypatch.setattr(trunk, "DISK_SHARE", 0)
    plain = train(asked, tmp_path / "plain", watcher=watcher).path
    assert json.loads((plain / "plan.json").read_text())["trunk"]["kept"] == ""
    assert any("is run in every epoch" in note for note in watcher.notes)
    for left, right in zip(metrics_of(kept), metrics_of(plain), strict=True):
        for name in {"loss", "held_out_loss", "grad_norm"} & left.keys():
            assert left[name] == pytest.approx(right[name], rel=1e-4)
    ours, theirs = saved_weights(kept), saved_weights(plain)
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=1e-3, atol=1e-4)


def _depending_on_the_batch(frozen: Callable[[Any, Batch], torch.Tensor]) -> Any:
    return lambda cut, batch: frozen(cut, batch) * (1 + 1e-7 * batch.tokens)


@pytest.mark.parametrize("method", ["last_layers", "head"])
def test_a_stopped_run_ends_in_the_same_bits(
    tiny_base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Though states of one sequence differ from batch to batch, which is made to be so here: on
    larger models the kernels' order of additions depends on the size of the batch."""
    for cut in (LayerCut, SiteCut):
        monkeypatch.setattr(cut, "frozen", _depending_on_the_batch(cut.frozen))
    asked, out = _asked(tiny_base, colours, method), tmp_path / "stopped"
    train(asked, tmp_path / "unbroken")
    with pytest.raises(Interrupted):
        train(asked, out, watcher=SignalAt(signal.SIGTERM, STOPPED))
    monkeypatch.setattr(trunk, "MEMORY_SHARE", 0)
    train(None, out, resume=True)
    assert json.loads((out / "plan.json").read_text())["trunk"]["kept"] == "disk"
    assert_same_training(out, tmp_path / "unbroken")


def _killed(asked: Recipe, out: Path) -> None:
    torch.set_num_threads(1)
    trunk.MEMORY_SHARE = 0
    train(asked, out, watcher=SignalAt(signal.SIGKILL, STOPPED))


def test_a_killed_run_leaves_no_states_on_disk(
    tiny_base: Path, colours: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    asked = _asked(tiny_base, colours, "last_layers", model__dtype="bfloat16")
    life = _LIVES.Process(target=_killed, args=(asked, out))
    life.start()
    life.join(120)
    assert life.exitcode == -signal.SIGKILL
    assert json.loads((out / "plan.json").read_text())["trunk"]["kept"] == "disk"
    names = {path.name for path in out.iterdir()}
    assert names == {
        "recipe.yaml", "environment.json", "ledger.json", "ledger.jsonl", "plan.json",
        "metrics.jsonl", "checkpoints",
    }  # fmt: skip
    train(None, out, resume=True)
    train(asked, tmp_path / "unbroken")
    assert_same_training(out, tmp_path / "unbroken")


def test_a_run_begun_without_goes_on_without(
    tiny_base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one begun with kept states says so where they cannot be kept any more."""
    asked, out = _asked(tiny_base, colours, "last_layers"), tmp_path / "out"

    def share(value: float) -> None:
        monkeypatch.setattr(trunk, "MEMORY_SHARE", value)
        monkeypatch.setattr(trunk, "DISK_SHARE", value)

    for first, then, note in ((0, 0.1, "run in every epoch"), (0.1, 0, "last bits may differ")):
        share(first)
        path = out / str(first)
        with pytest.raises(Interrupted):
            train(asked, path, watcher=SignalAt(signal.SIGTERM, STOPPED))
        share(then)
        watcher = Recorder()
        train(None, path, resume=True, watcher=watcher)
        assert any(note in said for said in watcher.notes)


def test_what_is_met_once_is_not_kept(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    """Within one epoch only the held-out rows come again; with one validation nothing does."""
    once = {"engine__max_steps": 6, "engine__validate_every": 6}
    for fields, kept in ((once, ""), (once | {"engine__validate_every": 3}, "memory")):
        asked = recipe(
            tiny_base, colours, model__method="last_layers", model__layers=1,
            evaluate__level="none", engine__batch_size=7, **fields,
        )  # fmt: skip
        out = train(asked, tmp_path / f"out{kept}").path
        plan = json.loads((out / "plan.json").read_text())
        assert plan["trunk"]["kept"] == kept
        assert plan["trunk"]["bytes"] < plan["tokens_per_epoch"] * 32 * 4
