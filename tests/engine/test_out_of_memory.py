"""Memory runs out in mid-run: the same bits as with smaller micro-batches, or a clear refusal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import SETTINGS, Recorder, examples, loop_over, opened, weights_of
from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.errors import OutOfMemory
from tunesmith.core.ports import Silent, SiteModel
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.factored import FactoredAdamW
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.methods import Tuned
from tunesmith.objectives.cross_entropy import CrossEntropy

ROWS = examples(24)
DROPOUT: dict[str, Any] = {"method": "lora", "dropout": 0.2}
LOW = replace(SETTINGS, memory="low", optimizer="adamw_factored")


class _Refused(torch.autograd.Function):
    """Passes a number on; its backward pass finds no memory."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 GB")


class _Short(CrossEntropy):
    """From call `call` on, no micro-batch of more than `room` tokens fits."""

    def __init__(self, call: int, room: int, where: str = "forward") -> None:
        self._calls, self._call, self._room, self._where = 0, call, room, where

    def loss(self, model: SiteModel, batch: Batch) -> LossSum:
        self._calls += 1
        refused = self._calls >= self._call and batch.tokens > self._room
        if refused and self._where == "forward":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        loss = super().loss(model, batch)
        if not refused:
            return loss
        return replace(loss, sum=_Refused.apply(loss.sum))  # type: ignore[no-untyped-call]


def _tokens(tuned: Tuned, folder: Path, step: int) -> int:
    """Of the only micro-batch of a step."""
    (batch,) = loop_over(tuned, ROWS, folder)._batches.step(step // 3, step % 3)
    return batch.tokens


def _assert_same(left: torch.nn.Module, right: torch.nn.Module) -> None:
    ours, theirs = weights_of(left), weights_of(right)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("settings", [SETTINGS, LOW], ids=["normal", "low"])
def test_at_the_first_step_it_is_the_smaller_micro_batch_from_the_start(
    tiny_base: Path, tmp_path: Path, where: str, settings: Any
) -> None:
    method: dict[str, Any] = {} if settings is LOW else DROPOUT
    short, small = opened(tiny_base, **method), opened(tiny_base, **method)
    half = _tokens(short, tmp_path, 0) // 2
    told = Recorder()
    loop_over(
        short, ROWS, tmp_path / "short", settings, objective=_Short(1, half, where), watcher=told
    ).run(StopRequest())
    loop_over(small, ROWS, tmp_path / "small", settings, budget=half).run(StopRequest())
    _assert_same(short.module, small.module)
    assert len(told.notes) == 1
    assert f"at step 1 with {2 * half}" in told.notes[0] or f"{2 * half + 1}" in told.notes[0]


def test_gradients_of_earlier_micro_batches_are_not_added_twice(
    tiny_base: Path, tmp_path: Path
) -> None:
    """The second micro-batch does not fit, when the first has left its gradients."""
    short, small = opened(tiny_base), opened(tiny_base)
    loop = loop_over(short, ROWS, tmp_path, budget=60)
    second = loop._batches.step(0, 0)[1]
    assert len(second.origins) > 1
    settings = replace(SETTINGS, total_steps=2)
    refusing = _Short(2, second.tokens - 1)
    loop_over(short, ROWS, tmp_path / "a", settings, budget=60, objective=refusing).run(
        StopRequest()
    )
    loop_over(small, ROWS, tmp_path / "b", settings, budget=second.tokens // 2).run(StopRequest())
    _assert_same(short.module, small.module)


def _changed_in_mid_run(tiny_base: Path, folder: Path, half: int) -> Tuned:
    """Two steps with large micro-batches, the other four with small ones; never short."""
    tuned = opened(tiny_base, **DROPOUT)
    settings = replace(SETTINGS, checkpoint_every=2)
    loop_over(tuned, ROWS, folder, settings).run(StopRequest())
    tuned = opened(tiny_base, **DROPOUT)
    loop = loop_over(tuned, ROWS, folder, settings, budget=half)
    loop.resume(Checkpoints(folder, 9).load(2))
    loop.run(StopRequest())
    return tuned


def _mid_run(tuned: Tuned, folder: Path, half: int, watcher: Silent | None = None) -> None:
    settings = replace(SETTINGS, checkpoint_every=4)
    short = _Short(3, half, "backward")
    loop_over(tuned, ROWS, folder, settings, objective=short, watcher=watcher).run(StopRequest())


def test_in_mid_run_it_is_the_smaller_micro_batch_from_there(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed attempt, after half a backward pass, leaves gradients and optimiser untouched."""
    monkeypatch.setattr("tests.support.Checkpoints", lambda folder, keep: Checkpoints(folder, 9))
    tuned = opened(tiny_base, **DROPOUT)
    half = _tokens(tuned, tmp_path, 2) // 2
    _mid_run(tuned, tmp_path / "short", half)
    wanted = _changed_in_mid_run(tiny_base, tmp_path / "wanted", half)
    _assert_same(tuned.module, wanted.module)


def test_a_killed_run_goes_on_with_the_smaller_micro_batch(tiny_base: Path, tmp_path: Path) -> None:
    """Resumed from step 4 without ever being short again, it has the bits of the unbroken one."""
    tuned, again = opened(tiny_base, **DROPOUT), opened(tiny_base, **DROPOUT)
    half = _tokens(tuned, tmp_path, 2) // 2
    _mid_run(tuned, tmp_path, half)
    loop = loop_over(again, ROWS, tmp_path, replace(SETTINGS, checkpoint_every=4))
    loop.resume(Checkpoints(tmp_path, 2).load(4))
    assert loop._batches.tokens_per_micro_batch == half
    loop.run(StopRequest())
    _assert_same(tuned.module, again.module)


def test_who_derived_something_from_the_batches_is_told_of_the_smaller_ones(
    tiny_base: Path, tmp_path: Path
) -> None:
    tuned, told = opened(tiny_base), []
    half = _tokens(tuned, tmp_path, 2) // 2
    ports: dict[str, Any] = {
        "take_up": lambda batches, done: told.append((batches.tokens_per_micro_batch, done))
    }
    loop_over(tuned, ROWS, tmp_path, objective=_Short(3, half), **ports).run(StopRequest())
    loop = loop_over(tuned, ROWS, tmp_path, **ports)
    loop.resume(Checkpoints(tmp_path, 2).load())
    assert told == [(half, 2), (half, SETTINGS.total_steps)]


def test_it_halves_as_often_as_it_must(tiny_base: Path, tmp_path: Path) -> None:
    told = Recorder()
    longest = max(map(len, ROWS))
    tuned = opened(tiny_base)
    loop_over(tuned, ROWS, tmp_path, objective=_Short(1, longest), watcher=told).run(StopRequest())
    assert len(told.notes) > 1
    assert len(told.losses) == SETTINGS.total_steps


def test_a_single_example_that_does_not_fit_is_named(tiny_base: Path, tmp_path: Path) -> None:
    loop = loop_over(opened(tiny_base), ROWS, tmp_path, objective=_Short(2, 0))
    with pytest.raises(
        OutOfMemory, match=r"step 2 with a single.*made\.jsonl:\d+.*of step 1\. .*lo"
    ):
        loop.run(StopRequest())


def test_an_update_without_room_says_what_would_fit(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: torch.optim.AdamW) -> None:
        raise MemoryError

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(OutOfMemory, match=r"update of step 1.*engine\.memory=low"):
        loop_over(opened(tiny_base), ROWS, tmp_path).run(StopRequest())


def test_weights_half_updated_are_thrown_away(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In low memory the update is part of the backward pass: it cannot be begun again."""
    real, calls = FactoredAdamW.update, 0

    def update(self: FactoredAdamW, *args: Any) -> float:
        nonlocal calls
        calls += 1
        if calls > 100:  # of 30 weights a step: in the fourth
            raise MemoryError
        return real(self, *args)

    monkeypatch.setattr(FactoredAdamW, "update", update)
    settings = replace(LOW, checkpoint_every=2)
    with pytest.raises(OutOfMemory, match=r"step \d .*thrown away.*checkpoint of step 2 is whole"):
        loop_over(opened(tiny_base), ROWS, tmp_path, settings).run(StopRequest())
    assert Checkpoints(tmp_path, 2).steps() == [2]


def test_other_errors_are_not_taken_for_it(tiny_base: Path, tmp_path: Path) -> None:
    class Broken(CrossEntropy):
        def loss(self, model: SiteModel, batch: Batch) -> LossSum:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        loop_over(opened(tiny_base), ROWS, tmp_path, objective=Broken()).run(StopRequest())
