"""Whole runs whose frozen part is computed once: as good as without, and resumed bit by bit."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support import recipe
from tunesmith.core.batch import Batch
from tunesmith.core.errors import Interrupted
from tunesmith.core.ports import Silent
from tunesmith.core.records import StepReport
from tunesmith.models.trunk_cuts import LayerCut, SiteCut
from tunesmith.recipe import Recipe
from tunesmith.runs import trunk
from tunesmith.runs.train import train

METHODS = {"last_layers": {"layers": 1}, "head": {}, "lora": {"layers": 2}}
# A server that has imported everything and computed nothing, as in the promise of resuming.
_LIVES = multiprocessing.get_context("forkserver")
_LIVES.set_forkserver_preload(["tunesmith.runs.train"])
STOPPED = 17  # of 21 steps of 7 an epoch: in the middle of the third


class _Signal(Silent):
    """Sends this process a signal after a step, and keeps the notes."""

    def __init__(self, number: int = 0, step: int = 0) -> None:
        self._number, self._step = number, step
        self.notes: list[str] = []

    def step(self, report: StepReport) -> None:
        if report.step == self._step:
            os.kill(os.getpid(), self._number)

    def note(self, message: str) -> None:
        self.notes.append(message)


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


def _weights(out: Path) -> dict[str, torch.Tensor]:
    (file,) = [*out.glob("model/*.safetensors"), *out.glob("adapter/*.safetensors")]
    return load_file(file)


def _steps(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def _assert_equal(left: Path, right: Path) -> None:
    ours, theirs = _weights(left), _weights(right)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert _steps(left) == _steps(right)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_is_what_it_is_without(
    tiny_base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    watcher = _Signal()
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
    for left, right in zip(_steps(kept), _steps(plain), strict=True):
        for name in {"loss", "held_out_loss", "grad_norm"} & left.keys():
            assert left[name] == pytest.approx(right[name], rel=1e-4)
    ours, theirs = _weights(kept), _weights(plain)
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
        train(asked, out, watcher=_Signal(signal.SIGTERM, STOPPED))
    monkeypatch.setattr(trunk, "MEMORY_SHARE", 0)
    train(None, out, resume=True)
    assert json.loads((out / "plan.json").read_text())["trunk"]["kept"] == "disk"
    _assert_equal(out, tmp_path / "unbroken")


def _killed(asked: Recipe, out: Path) -> None:
    torch.set_num_threads(1)
    trunk.MEMORY_SHARE = 0
    train(asked, out, watcher=_Signal(signal.SIGKILL, STOPPED))


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
    _assert_equal(out, tmp_path / "unbroken")


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
            train(asked, path, watcher=_Signal(signal.SIGTERM, STOPPED))
        share(then)
        watcher = _Signal()
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
