"""Speed never costs learning: bfloat16 weights are trained through float32 masters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support import SETTINGS, examples, loop_over, opened
from tunesmith.core.ports import Silent
from tunesmith.core.records import StepReport
from tunesmith.engine import updates as updates_module
from tunesmith.engine.masters import Masters
from tunesmith.engine.stopping import StopRequest

TINY_UPDATE = 2.0**-12
RATE = 1e-4


def _bfloat16_weight() -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    nn.init.ones_(layer.weight)
    return layer


def test_updates_below_bfloat16_resolution_add_up() -> None:
    """16 steps of 2^-12 are 2^-8, one bfloat16 step below 1; each alone rounds away."""
    layer = _bfloat16_weight()
    masters = Masters(layer.named_parameters())
    plain = layer.weight.detach().clone()
    optimizer = torch.optim.SGD(masters.weights.values(), lr=TINY_UPDATE)
    for _ in range(16):
        layer(torch.ones(1, 1, dtype=torch.bfloat16)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        masters.publish()
        plain -= TINY_UPDATE
    assert layer.weight.item() == 1 - 2.0**-8
    assert plain.item() == 1.0


def test_gradients_of_micro_batches_add_up_in_float32() -> None:
    layer = _bfloat16_weight()
    masters = Masters(layer.named_parameters())
    for value in [256.0] + [0.5] * 8:
        layer(torch.full((1, 1), value, dtype=torch.bfloat16)).sum().backward()
    gradient = masters.weights["weight"].grad
    assert gradient is not None
    assert gradient.dtype == torch.float32
    assert float(gradient) == 260.0
    assert layer.weight.grad is None


def test_a_float32_weight_is_its_own_master() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    masters = Masters(layer.named_parameters())
    assert masters.weights == {"weight": layer.weight}


def test_saved_masters_come_back_bitwise_and_reach_the_model() -> None:
    layer = _bfloat16_weight()
    masters = Masters(layer.named_parameters())
    saved = {"weight": torch.full((1, 1), 0.123456789)}
    masters.load(saved)
    assert torch.equal(masters.weights["weight"].detach(), saved["weight"])
    assert torch.equal(layer.weight, saved["weight"].bfloat16())
    with pytest.raises(KeyError, match="other"):
        masters.load({"other": saved["weight"]})


class _Losses(Silent):
    def __init__(self) -> None:
        self.values: list[float] = []

    def step(self, report: StepReport) -> None:
        self.values.append(report.loss)


def _final_loss(base: Path, folder: Path, dtype: str) -> float:
    """After 60 small steps over 16 examples, the mean of the last epoch."""
    settings = replace(
        SETTINGS, total_steps=60, learning_rate=RATE, schedule="constant", weight_decay=0.0
    )
    losses = _Losses()
    tuned = opened(base, dtype=dtype)
    loop_over(tuned, examples(16), folder, settings, watcher=losses).run(StopRequest())
    return sum(losses.values[-2:]) / 2


def test_bfloat16_learns_as_much_as_float32(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not without masters: the comparison would notice their loss."""
    wanted = _final_loss(tiny_base, tmp_path / "float32", "float32")
    kept = _final_loss(tiny_base, tmp_path / "masters", "bfloat16")
    monkeypatch.setattr(updates_module, "Masters", _NoMasters)
    without = _final_loss(tiny_base, tmp_path / "without", "bfloat16")
    assert abs(kept - wanted) < 0.003
    assert without - wanted > 0.008


class _NoMasters(Masters):
    """The weights of the model themselves, whatever their precision."""

    def __init__(self, named: object) -> None:
        self._working = dict(named)  # type: ignore[call-overload]
        self.weights = self._working
