"""Speed never costs learning: bfloat16 weights are trained through float32 masters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support import SETTINGS, Recorder, examples, loop_over, opened
from tunesmith.engine import masters as masters_module
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
        for _ in masters.updating(1.0):
            optimizer.step()
        plain -= TINY_UPDATE
    assert layer.weight.item() == 1 - 2.0**-8
    assert plain.item() == 1.0


def test_gradients_of_micro_batches_add_up_in_float32() -> None:
    layer = _bfloat16_weight()
    masters = Masters(layer.named_parameters())
    for value in [256.0] + [0.5] * 8:
        layer(torch.full((1, 1), value, dtype=torch.bfloat16)).sum().backward()
    gradient = masters.gradients()["weight"]
    assert gradient.dtype == torch.float32
    assert float(gradient) == 260.0
    assert layer.weight.grad is None


def test_a_single_gradient_stays_as_it_came() -> None:
    """Two bytes a weight, not four, until the update takes it up a portion at a time."""
    layer = _bfloat16_weight()
    masters = Masters(layer.named_parameters())
    layer(torch.full((1, 1), 3.0, dtype=torch.bfloat16)).sum().backward()
    assert masters.gradients()["weight"].dtype == torch.bfloat16
    for _ in masters.updating(1 / 3):
        gradient = masters.weights["weight"].grad
        assert gradient is not None
        assert gradient.dtype == torch.float32
        assert float(gradient) == pytest.approx(1.0, rel=1e-7)
    assert masters.gradients() == {}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_portion_of_the_weights_is_updated_at_a_time(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, in the model before the next portion's gradients are made."""
    monkeypatch.setattr(masters_module, "PORTION", 6)
    layers = nn.ModuleList(nn.Linear(2, 2, dtype=dtype) for _ in range(3))
    before = [weight.detach().clone() for weight in layers.parameters()]
    masters = Masters(layers.named_parameters())
    sum(layer(torch.ones(1, 2, dtype=dtype)).sum() for layer in layers).backward()  # type: ignore[union-attr]
    optimizer = torch.optim.SGD(masters.weights.values(), lr=1.0)
    portions = []
    for _ in masters.updating(0.5):
        if dtype == torch.bfloat16:
            portions.append([n for n, w in masters.weights.items() if w.grad is not None])
        optimizer.step()
    if dtype == torch.bfloat16:
        assert [len(names) for names in portions] == [2, 2, 2]
    for weight, start in zip(layers.parameters(), before, strict=True):
        assert torch.equal(weight, (start.float() - 0.5).to(dtype))


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


def _final_loss(base: Path, folder: Path, dtype: str) -> float:
    """After 60 small steps over 16 examples, the mean of the last epoch."""
    settings = replace(
        SETTINGS, total_steps=60, learning_rate=RATE, schedule="constant", weight_decay=0.0
    )
    told, tuned = Recorder(), opened(base, dtype=dtype)
    loop_over(tuned, examples(16), folder, settings, watcher=told).run(StopRequest())
    return sum(told.losses[-2:]) / 2


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
        self._arrived = {}
        self.weights = self._working

    def updating(self, scale: float) -> Iterator[list[str]]:
        for gradient in self.gradients().values():
            gradient.mul_(scale)
        yield list(self.weights)
        self.drop_gradients()
