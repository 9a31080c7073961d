"""Activation checkpointing: the same bits from less memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import SETTINGS, examples, gradients_of, loop_over, opened, weights_of
from tunesmith.core.errors import Unsupported
from tunesmith.data.pack import pack
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import on_device
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.checkpointing import checkpoint_activations
from tunesmith.models.methods import Tuned
from tunesmith.objectives.cross_entropy import CrossEntropy

METHODS: list[dict[str, Any]] = [
    {"method": "full"},
    {"method": "last_layers"},
    {"method": "lora", "dropout": 0.3},
]


def _kept(tuned: Tuned) -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
    """Loss and gradients of one batch in training, and the numbers kept for the backward pass."""
    tuned.module.train()
    tuned.module.zero_grad()
    torch.manual_seed(1)
    batch, kept = on_device(pack(examples(8)), torch.device("cpu")), 0

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = CrossEntropy().loss(tuned.base.forward, batch).sum
    loss.backward()
    return loss.detach(), gradients_of(tuned.module), kept


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method["method"])
def test_loss_and_gradients_are_the_same_bits(tiny_base: Path, method: dict[str, Any]) -> None:
    tuned = opened(tiny_base, **method)
    loss, gradients, kept = _kept(tuned)
    checkpoint_activations(tuned.base.model)
    again, others, less = _kept(tuned)
    assert torch.equal(loss, again)
    assert gradients.keys() == others.keys()
    assert all(torch.equal(gradients[name], others[name]) for name in gradients)
    assert less < kept / 2


def test_a_run_of_several_micro_batches_resumes_to_the_same_bits(
    tiny_base: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, total_steps=4, checkpoint_every=2)
    ended = []
    for name, checkpointed, start in (("plain", 0, 0), ("short", 1, 0), ("short", 1, 2)):
        tuned = opened(tiny_base, method="lora", dropout=0.3)
        if checkpointed:
            checkpoint_activations(tuned.base.model)
        loop = loop_over(tuned, examples(24), tmp_path / name, settings, budget=60)
        if start:
            loop.resume(Checkpoints(tmp_path / name, 2).load(start))
        loop.run(StopRequest())
        ended.append(weights_of(tuned.module))
    for other in ended[1:]:
        assert all(torch.equal(ended[0][name], other[name]) for name in other)


def test_a_model_that_cannot_is_refused(tiny_base: Path) -> None:
    model = opened(tiny_base).base.model
    model.supports_gradient_checkpointing = False
    with pytest.raises(Unsupported, match=r"LlamaForCausalLM cannot.*checkpointing=true.*false"):
        checkpoint_activations(model)
