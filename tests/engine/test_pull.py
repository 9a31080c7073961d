"""Decay towards the weights that a run started from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.support import SETTINGS, examples, loop_over, opened, weights_of
from tunesmith.core.batch import LossSum
from tunesmith.engine.loop import Settings
from tunesmith.engine.stopping import StopRequest
from tunesmith.engine.updates import UPDATES

RATE, DECAY, STEPS = 0.1, 2.0, 3
NORMAL = replace(SETTINGS, weight_decay=0.0, decay_to_base=DECAY)
LOW = replace(NORMAL, memory="low", optimizer="adamw_factored")


def _layer(dtype: torch.dtype) -> tuple[nn.Linear, dict[str, torch.Tensor]]:
    """A layer moved away by 1 from where it started, and the start."""
    layer = nn.Linear(4, 3).to(dtype)
    start = weights_of(layer)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.add_(1.0)
    return layer, start


@pytest.mark.parametrize("settings", [NORMAL, LOW], ids=["normal", "low"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_a_gradient_weights_go_to_the_start_at_the_stated_rate(
    settings: Settings, dtype: torch.dtype
) -> None:
    """Matrix and bias: (1 − η λ) of the way is left after each step; none of it is rounded away."""
    layer, start = _layer(dtype)
    before = weights_of(layer)
    updates = UPDATES[settings.memory](layer, settings, start)
    for _ in range(STEPS):
        updates.begin(RATE)
        zero = torch.stack([(weight * 0).sum() for weight in layer.parameters()]).sum()
        updates.backward(LossSum(zero, 1.0), last=True)
        updates.finish()
    left = (1 - RATE * DECAY) ** STEPS
    for name, weight in layer.named_parameters():
        wanted = start[name].float() + left * (before[name].float() - start[name].float())
        tolerance = 1e-6 if dtype == torch.float32 else 8e-3
        torch.testing.assert_close(weight.float(), wanted, rtol=tolerance, atol=tolerance)
    if settings is NORMAL:
        for name, master in updates.weights().items():
            wanted = start[name].float() + left * (before[name].float() - start[name].float())
            torch.testing.assert_close(master, wanted, rtol=1e-6, atol=1e-6)


def test_a_pull_never_goes_beyond_the_start() -> None:
    layer, start = _layer(torch.float32)
    updates = UPDATES["normal"](layer, replace(NORMAL, decay_to_base=50.0), start)
    updates.begin(RATE)
    updates.backward(LossSum((layer.weight * 0).sum() + (layer.bias * 0).sum(), 1.0), last=True)
    updates.finish()
    for name, weight in layer.named_parameters():
        assert torch.equal(weight, start[name])


@pytest.mark.parametrize("settings", [NORMAL, LOW], ids=["normal", "low"])
def test_a_loop_ends_nearer_to_its_start(
    tiny_base: Path, tmp_path: Path, settings: Settings
) -> None:
    ways = []
    for decay in (0.0, 60.0):
        tuned = opened(tiny_base, "full").remembering()
        assert tuned.start
        asked = replace(settings, decay_to_base=decay)
        loop = loop_over(
            tuned, examples(24), tmp_path / str(decay), asked, start=tuned.start.weights
        )
        loop.run(StopRequest())
        ended = weights_of(tuned.module)
        ways.append(sum(float((ended[n] - w).norm()) for n, w in tuned.start.weights.items()))
    assert ways[1] < 0.7 * ways[0]
