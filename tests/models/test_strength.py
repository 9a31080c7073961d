"""The strength of a tuned model: what an adapter adds is scaled, other weights lie between.

What is saved at a strength is plain PEFT, or a plain model.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.support import opened, weights_of
from tunesmith.models.methods import Tuned
from tunesmith.models.strength import Strength

IDS = torch.arange(3, 40)[None]


@pytest.fixture
def trained(tiny_base: Path) -> Tuned:
    """An adapter whose up-projections are not zero."""
    tuned = opened(tiny_base, "lora")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in tuned.module.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator))
    return tuned


def _logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(IDS).logits


def test_strength_zero_is_the_base_and_one_gives_the_trained_bits_back(
    tiny_base: Path, trained: Tuned
) -> None:
    base = _logits(AutoModelForCausalLM.from_pretrained(tiny_base))
    before = _logits(trained.module)
    assert (before - base).abs().max() > 0.1
    strength = Strength(trained)
    strength.set(0.0)
    torch.testing.assert_close(_logits(trained.module), base)
    strength.set(0.25)
    strength.set(1.0)
    assert torch.equal(_logits(trained.module), before)


def test_the_saved_adapter_adds_that_share_in_plain_peft(
    tiny_base: Path, trained: Tuned, tmp_path: Path
) -> None:
    weights = {n: w.detach().clone() for n, w in trained.module.named_parameters()}
    Strength(trained).set(0.5)
    trained.save(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    reopened = PeftModel.from_pretrained(model, tmp_path)
    for name, weight in reopened.named_parameters():
        scale = 0.5 if "lora_B" in name else 1.0
        assert torch.equal(weight, scale * weights[name]), name
    torch.testing.assert_close(_logits(reopened), _logits(trained.module))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize("method", ["full", "last_layers", "head"])
def test_of_other_methods_weights_lie_between_the_base_and_the_tuned_ones(
    tiny_base: Path, tmp_path: Path, method: str, remembered: bool, dtype: str
) -> None:
    tuned = opened(tiny_base, method, dtype)
    tuned = tuned.remembering() if remembered else tuned
    base = weights_of(tuned.module)
    with torch.no_grad():
        for weight in tuned.module.parameters():
            if weight.requires_grad:
                weight.mul_(1.1).add_(0.01)
    trained = weights_of(tuned.module)
    strength = Strength(tuned)
    for value, wanted in ((0.0, base), (0.25, None), (1.0, trained), (0.5, None)):
        strength.set(value)
        for name, weight in weights_of(tuned.module).items():
            between = base[name].float() * (1 - value) + trained[name].float() * value
            assert torch.equal(weight, between.to(weight.dtype) if wanted is None else wanted[name])
    tuned.save(tmp_path)
    reopened = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=tuned.base.model.dtype)
    half = weights_of(tuned.module)
    saved = dict(reopened.named_parameters(remove_duplicate=False))
    assert all(torch.equal(saved[name], weight) for name, weight in half.items())
