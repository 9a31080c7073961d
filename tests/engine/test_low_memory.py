"""Low memory: updates inside the backward pass, a factored second moment, weights in two halves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support import SETTINGS, Recorder, examples, loop_over, opened, weights_of
from tunesmith.core.batch import LossSum
from tunesmith.core.errors import NonFiniteLoss
from tunesmith.engine import updates as updates_module
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.factored import BETAS, EPSILON, FactoredAdamW, join, part
from tunesmith.engine.loop import Settings
from tunesmith.engine.stopping import StopRequest
from tunesmith.engine.updates import InsideBackward
from tunesmith.engine.weight_by_weight import NotFinite
from tunesmith.objectives.cross_entropy import CrossEntropy

LOW = replace(SETTINGS, memory="low", optimizer="adamw_factored")
SHAPE = (300, 400)  # more than one block


def test_two_halves_are_exactly_a_float32() -> None:
    bits = torch.randint(-(2**31), 2**31 - 1, (10_000,), dtype=torch.int64).to(torch.int32)
    bits[:3] = torch.tensor([0x3F808000, 0x3F818000, 0x00000001])  # both ties, and a tiny number
    value = bits.view(torch.float32)
    value = value[value.abs() < 1e38].clone()
    high, low = (
        torch.empty_like(value, dtype=torch.bfloat16),
        torch.empty_like(value, dtype=torch.int16),
    )
    part(value, high, low)
    assert torch.equal(join(high, low), value)
    nearest = value.bfloat16().float()
    assert torch.equal((high.float() - value).abs(), (nearest - value).abs())


def _dense(
    weight: torch.Tensor, gradients: list[torch.Tensor], rate: float, decay: float
) -> torch.Tensor:
    """The equations at the head of `factored`, written out; the momentum in bfloat16."""
    momentum = torch.zeros_like(weight)
    rows, columns = torch.zeros(SHAPE[0]), torch.zeros(SHAPE[1])
    for t, gradient in enumerate(gradients, start=1):
        rows = BETAS[1] * rows + (1 - BETAS[1]) * gradient.square().mean(1)
        columns = BETAS[1] * columns + (1 - BETAS[1]) * gradient.square().mean(0)
        second = rows[:, None] * columns / rows.mean() / (1 - BETAS[1] ** t)
        momentum = BETAS[0] * momentum + (1 - BETAS[0]) * gradient
        first = momentum / (1 - BETAS[0] ** t)
        momentum = momentum.bfloat16().float()
        weight = weight * (1 - rate * decay) - rate * first / (second.sqrt() + EPSILON)
    return weight


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_matrix_follows_the_equations(dtype: torch.dtype) -> None:
    """A bfloat16 weight as exactly as a float32 one: updates are far below its own precision."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(SHAPE).to(dtype))
    gradients = [torch.randn(SHAPE).to(dtype) for _ in range(4)]
    wanted = _dense(weight.detach().float(), [g.float() for g in gradients], 1e-4, 0.1)
    optimizer = FactoredAdamW([{"params": [weight], "lr": 1e-4, "weight_decay": 0.1}])
    for gradient in gradients:
        weight.grad = gradient
        optimizer.step()
    low = optimizer.state[weight].get("low")
    found = weight.detach() if low is None else join(weight.detach(), low)
    torch.testing.assert_close(found, wanted, atol=2e-6, rtol=0)


def test_scale_and_clip_act_before_the_moments() -> None:
    """Divided by 4 and shortened to a norm of 1, a gradient is as if it had come like that."""
    torch.manual_seed(0)
    start, gradient = torch.randn(SHAPE), torch.randn(SHAPE)
    ended = []
    for given, scale, clip in ((gradient, 0.25, 1.0), (gradient / gradient.norm(), 1.0, 9.0)):
        weight = nn.Parameter(start.clone())
        optimizer = FactoredAdamW([{"params": [weight], "lr": 1e-2}])
        norm = optimizer.update(weight, given, scale, clip)
        assert norm == pytest.approx(float(given.norm()) * scale, rel=1e-4)
        ended.append(weight.detach())
    torch.testing.assert_close(ended[0], ended[1], atol=1e-6, rtol=1e-4)


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    weight = nn.Parameter(torch.ones(4, 4))
    optimizer = FactoredAdamW([{"params": [weight], "lr": 1e-2}])
    with pytest.raises(NotFinite):
        optimizer.update(weight, torch.full((4, 4), float("nan")))
    assert torch.equal(weight, torch.ones(4, 4))
    assert not optimizer.state[weight]


def _learned(base: Path, folder: Path, settings: Settings) -> Recorder:
    told, tuned = Recorder(), opened(base, dtype="bfloat16")
    loop_over(tuned, examples(16), folder, settings, watcher=told).run(StopRequest())
    return told


def test_it_learns_as_much_as_adamw(tiny_base: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, total_steps=30, learning_rate=3e-3, schedule="constant")
    low = replace(settings, memory="low", optimizer="adamw_factored")
    wanted = _learned(tiny_base, tmp_path / "normal", settings)
    found = _learned(tiny_base, tmp_path / "low", low)
    fall = wanted.losses[0] - sum(wanted.losses[-2:]) / 2
    assert fall > 1.0
    assert found.losses[0] - sum(found.losses[-2:]) / 2 > 0.9 * fall
    norm = wanted.reports[0].grad_norm
    assert found.reports[0].grad_norm == pytest.approx(norm, rel=1e-2)


def test_accumulation_does_not_change_the_updates(tiny_base: Path, tmp_path: Path) -> None:
    """Up to the last digit of a momentum in bfloat16, at a rate of 1e-2."""
    ended = []
    for budget in (10_000, 1):
        tuned = opened(tiny_base)
        loop_over(tuned, examples(24), tmp_path / str(budget), LOW, budget=budget).run(
            StopRequest()
        )
        ended.append(weights_of(tuned.module))
    for name, value in ended[0].items():
        torch.testing.assert_close(value, ended[1][name], rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("budget", [10_000, 40])
def test_a_resumed_run_has_the_same_bits(tiny_base: Path, tmp_path: Path, budget: int) -> None:
    """In bfloat16: with the halves that the model's own weights do not show."""
    settings = replace(LOW, checkpoint_every=2, validate_every=2, keep_best=True)
    ended = []
    for step in (None, 4):
        tuned = opened(tiny_base, dtype="bfloat16")
        losses = iter([3.0, 1.0, 2.0] if step is None else [2.0])
        loop = loop_over(
            tuned,
            examples(24),
            tmp_path,
            settings,
            budget=budget,
            validate=lambda losses=losses: next(losses),
        )
        if step is not None:
            loop.resume(Checkpoints(tmp_path, 2).load(step))
        progress = loop.run(StopRequest())
        saved = Checkpoints(tmp_path, 2).load(6)
        groups = {f"{g}/{n}": t for g in saved.groups for n, t in saved.groups[g].items()}
        ended.append((progress.best_step, weights_of(tuned.module), groups))
    assert ended[0][0] == ended[1][0] == 4
    for left, right in zip(ended[0][1:], ended[1][1:], strict=True):
        assert left.keys() == right.keys()
        assert all(torch.equal(left[name], right[name]) for name in left)


def test_no_gradient_outlives_its_update(tiny_base: Path) -> None:
    """When a weight's gradient arrives, that of every weight before it is gone."""
    tuned = opened(tiny_base)
    updates, alive = InsideBackward(tuned.module, LOW), []
    for weight in tuned.module.parameters():
        weight.register_post_accumulate_grad_hook(
            lambda _: alive.append(sum(w.grad is not None for w in tuned.module.parameters()))
        )
    updates.begin(1e-3)
    tokens = torch.arange(20)[None]
    logits = tuned.base.model(input_ids=tokens).logits
    updates.backward(LossSum(sum=logits.square().sum(), count=1.0), last=True)
    assert updates.finish() > 0
    assert len(alive) == len(list(tuned.module.parameters()))
    assert max(alive) == 0


def test_freed_blocks_go_back_after_each_step(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trimmed: list[int] = []
    monkeypatch.setattr(updates_module, "trim", lambda: trimmed.append(1))
    for memory, optimizer, times in (("low", "adamw_factored", 3), ("normal", "adamw", 3)):
        settings = replace(SETTINGS, total_steps=3, memory=memory, optimizer=optimizer)
        loop = loop_over(opened(tiny_base), examples(8), tmp_path / memory, settings)
        loop.run(StopRequest())
        assert len(trimmed) == times


class _Nan(torch.autograd.Function):
    """Passes a number on; its gradient is not a number."""

    @staticmethod
    def forward(ctx: object, value: torch.Tensor) -> torch.Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: object, *grad_outputs: torch.Tensor) -> torch.Tensor:
        return grad_outputs[0] * float("nan")


class _Spoilt(CrossEntropy):
    """Only what lies below the second layer gets a gradient that is not a number."""

    def __init__(self, layer: nn.Module, call: int) -> None:
        self._calls = 0
        self._call = call
        layer.register_forward_hook(self._spoil)

    def _spoil(self, module: nn.Module, args: object, output: torch.Tensor) -> torch.Tensor:
        self._calls += 1
        if self._calls != self._call:
            return output
        spoilt: torch.Tensor = _Nan.apply(output)  # type: ignore[no-untyped-call]
        return spoilt


def test_a_spoilt_gradient_stops_the_run_and_says_what_is_left(
    tiny_base: Path, tmp_path: Path
) -> None:
    tuned = opened(tiny_base)
    objective = _Spoilt(tuned.base.model.model.layers[1], 4)
    settings = replace(LOW, checkpoint_every=2)
    loop = loop_over(tuned, examples(24), tmp_path, settings, objective=objective)
    with pytest.raises(NonFiniteLoss, match=r"nan at step 4.*part of the update.*made\.jsonl"):
        loop.run(StopRequest())
    assert Checkpoints(tmp_path, 2).steps() == [2]
