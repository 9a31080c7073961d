"""The strength of an adapter scales what it adds, and the scaled adapter is plain PEFT."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.support import opened
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


def test_only_an_adapter_has_a_strength(tiny_base: Path) -> None:
    with pytest.raises(TypeError, match="adapter"):
        Strength(opened(tiny_base, "full"))
