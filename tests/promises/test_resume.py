"""Promise 2: resumed ≡ unbroken, bitwise, after kill −9 at any moment; promise 6: same seed, same
weights."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import (
    SignalAt,
    assert_same_training,
    nothing_measured,
    recipe,
    saved_weights,
)
from tunesmith.core.errors import CheckpointError, Interrupted, RunFolderError
from tunesmith.recipe import Recipe
from tunesmith.runs import plan as planning
from tunesmith.runs.train import train

KILLS = 10

# A server that has imported everything and computed nothing: each life starts in milliseconds.
_LIVES = multiprocessing.get_context("forkserver")
_LIVES.set_forkserver_preload(["tunesmith.runs.train"])


def _live(asked: Recipe, out: Path) -> None:
    torch.set_num_threads(1)
    planning._measure = nothing_measured  # this process ends with the run
    resume = (out / "recipe.yaml").exists()
    train(None if resume else asked, out, resume=resume)


def _start(asked: Recipe, out: Path) -> BaseProcess:
    life = _LIVES.Process(target=_live, args=(asked, out))
    life.start()
    return life


def _unbroken(asked: Recipe, out: Path) -> float:
    started = time.monotonic()
    life = _start(asked, out)
    life.join(120)
    assert life.exitcode == 0
    return time.monotonic() - started


def _assert_equal_runs(left: Path, right: Path) -> None:
    assert_same_training(left, right)
    assert (left / "verdict.json").read_text() == (right / "verdict.json").read_text()


@pytest.mark.timeout(600)  # some five runs, each in a process of its own
@pytest.mark.parametrize(("method", "dtype"), [("lora", "bfloat16"), ("full", "float32")])
def test_ten_kills_change_no_bit(
    tiny_base: Path, colours: Path, tmp_path: Path, method: str, dtype: str
) -> None:
    """Killed ten times at random moments, a run ends with the weights of one never touched.

    Micro-batches of one example each put many of the moments inside an accumulation, and two
    epochs of 14 steps with a checkpoint every second step put them inside epochs.
    """
    asked = recipe(
        tiny_base,
        colours,
        model__method=method,
        model__dtype=dtype,
        engine__max_steps=28,
        engine__tokens_per_micro_batch=1,
        evaluate__rows=6,
        evaluate__max_new_tokens=4,
    )
    _LIVES.Process(target=int).start()  # the server imports before the clock runs
    duration = _unbroken(asked, tmp_path / "unbroken")
    draw, kills, ended = random.Random(), 0, 0
    out = tmp_path / "killed-0"
    while kills < KILLS:
        life = _start(asked, out)
        life.join(draw.uniform(0.0, 0.5 * duration))
        if life.exitcode is None:
            assert life.pid is not None
            os.kill(life.pid, signal.SIGKILL)
            kills += 1
        life.join(30)
        if (out / "verdict.json").exists():
            _assert_equal_runs(out, tmp_path / "unbroken")
            ended += 1
            out = tmp_path / f"killed-{ended}"
    life = _start(asked, out)
    life.join(120)
    assert life.exitcode == 0
    assert not list(out.glob(".partial-*"))
    _assert_equal_runs(out, tmp_path / "unbroken")


@pytest.mark.parametrize("method", ["lora", "last_layers"])
def test_one_seed_gives_one_result(
    tiny_base: Path, colours: Path, tmp_path: Path, method: str
) -> None:
    asked = recipe(tiny_base, colours, model__method=method)
    runs = [train(asked, tmp_path / name) for name in ("first", "second")]
    _assert_equal_runs(runs[0].path, runs[1].path)
    other = train(recipe(tiny_base, colours, model__method=method, engine__seed=1), tmp_path / "o")
    ours, theirs = (saved_weights(run.path) for run in (runs[0], other))
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(("number", "step"), [(signal.SIGINT, 3), (signal.SIGTERM, 8)])
def test_a_signal_saves_and_leaves(
    tiny_base: Path, colours: Path, tmp_path: Path, number: int, step: int
) -> None:
    """Asked to stop where no checkpoint is due, or in the very last step, a run saves that step."""
    asked = recipe(tiny_base, colours, engine__checkpoint_every=5)
    train(asked, tmp_path / "unbroken")
    out = tmp_path / "stopped"
    with pytest.raises(Interrupted, match=rf"after step {step} of 8.*resume the run"):
        train(asked, out, watcher=SignalAt(number, step))
    assert (out / "checkpoints" / f"step-{step:08d}").is_dir()
    assert not (out / "verdict.json").exists()
    train(None, out, resume=True)
    _assert_equal_runs(out, tmp_path / "unbroken")


def test_a_finished_run_is_not_taken_back(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    run = train(recipe(tiny_base, colours), tmp_path / "done")
    with pytest.raises(RunFolderError, match=r"finished.*cannot go on from step 2"):
        train(None, run.path, resume=True, from_step=2)


def test_a_changed_base_is_not_mixed_in(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    out = _stopped(base, colours, tmp_path)
    weights = load_file(base / "model.safetensors")
    save_file(
        {name: w + 1e-3 for name, w in weights.items()},
        base / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(RunFolderError, match=r"model.safetensors changed since"):
        train(None, out, resume=True)


def _stopped(tiny_base: Path, colours: Path, tmp_path: Path) -> Path:
    out = tmp_path / "stopped"
    with pytest.raises(Interrupted):
        train(recipe(tiny_base, colours), out, watcher=SignalAt(signal.SIGINT, 5))
    return out


def test_a_damaged_checkpoint_is_refused_and_the_one_before_offered(
    tiny_base: Path, colours: Path, tmp_path: Path
) -> None:
    out = _stopped(tiny_base, colours, tmp_path)
    file = out / "checkpoints" / "step-00000005" / "weights.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match=r"weights.safetensors.*hash.*--from-step 4"):
        train(None, out, resume=True)
    train(recipe(tiny_base, colours), tmp_path / "unbroken")
    train(None, out, resume=True, from_step=4)
    _assert_equal_runs(out, tmp_path / "unbroken")


def test_data_that_changed_is_not_mixed_in(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    out = _stopped(tiny_base, colours, tmp_path)
    lines = colours.read_text().splitlines(keepends=True)
    colours.write_text("".join([*lines, lines[0].replace("Box 0", "Box 999")]))
    with pytest.raises(RunFolderError, match=r"colours.jsonl changed since"):
        train(None, out, resume=True)


@pytest.mark.parametrize("change", ["gone", "new"])
def test_a_file_that_went_or_came_is_not_mixed_in(
    tiny_base: Path, colours: Path, tmp_path: Path, change: str
) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    lines = colours.read_text().splitlines(keepends=True)
    (folder / "a.jsonl").write_text("".join(lines[:30]))
    (folder / "b.jsonl").write_text("".join(lines[30:]))
    out = _stopped(tiny_base, folder, tmp_path)
    if change == "gone":
        (folder / "b.jsonl").unlink()
    else:
        (folder / "b.jsonl").rename(tmp_path / "b.jsonl")
        (folder / "c.jsonl").write_text((tmp_path / "b.jsonl").read_text())
    with pytest.raises(RunFolderError, match=r"b.jsonl.* changed since"):
        train(None, out, resume=True)


def test_a_changed_template_is_not_mixed_in(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    out = _stopped(base, colours, tmp_path)
    (template,) = [*base.glob("*.jinja")] or [base / "tokenizer_config.json"]
    template.write_text(f"{{# another #}}{template.read_text()}")
    with pytest.raises(RunFolderError, match=rf"{template.name} changed since"):
        train(None, out, resume=True)


def test_a_finished_run_is_left_as_it_is(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    run = train(recipe(tiny_base, colours), tmp_path / "done")
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.is_file()}
    train(None, run.path, resume=True)
    assert before == {p: p.stat().st_mtime_ns for p in run.path.rglob("*") if p.is_file()}
