"""LoRA that begins with a part of the weight: the papers' function, on a base that stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer

from tests.support import assert_near, gradients_of, opened, weights_of
from tunesmith.core.errors import Unsupported

IDS = torch.arange(3, 40)[None]
INITS = ("pissa", "olora")


def _gradients(model: torch.nn.Module) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    logits = model(IDS).logits
    logits.logsumexp(-1).square().sum().backward()
    return logits.detach(), gradients_of(model)


def _layers(model: torch.nn.Module) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, LoraLayer)]


@pytest.mark.parametrize("init", INITS)
def test_it_is_the_function_of_the_papers_with_every_gradient(tiny_base: Path, init: str) -> None:
    """Which take the start out of the frozen weight; ours is subtracted beside it."""
    ours = opened(tiny_base, "lora", init=init).module
    theirs = opened(tiny_base, "lora").module
    with torch.no_grad():
        for mine, other in zip(_layers(ours), _layers(theirs), strict=True):
            down, up = mine.lora_A["default"].weight, mine.lora_B["default"].weight
            other.lora_A["default"].weight.copy_(down)
            other.lora_B["default"].weight.copy_(up)
            other.get_base_layer().weight.sub_(2 * up @ down)
    (logits, gradients), (wanted, their_gradients) = _gradients(ours), _gradients(theirs)
    torch.testing.assert_close(logits, wanted, atol=1e-5, rtol=1e-5)
    assert_near(gradients, their_gradients)


def test_pissa_takes_as_much_of_each_weight_as_so_low_a_rank_can(tiny_base: Path) -> None:
    for layer in _layers(opened(tiny_base, "lora", init="pissa").module):
        weight = layer.get_base_layer().weight.detach()
        start = 2 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        least = torch.linalg.svdvals(weight)[4:].norm()
        assert (weight - start).norm() < 1.01 * least


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_weight_of_the_base_is_changed(tiny_base: Path, init: str, dtype: str) -> None:
    tuned = opened(tiny_base, "lora", dtype, init=init)
    before = opened(tiny_base, "full", dtype).base.model.state_dict()
    after = {
        name.replace("base_layer.", ""): weight
        for name, weight in tuned.base.model.state_dict().items()
        if "lora_" not in name
    }
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(".default." in name for name in weights_of(tuned.module))


def test_a_rank_above_that_of_a_weight_is_refused(tiny_base: Path) -> None:
    with pytest.raises(Unsupported) as caught:
        opened(tiny_base, "lora", rank=17, init="pissa")
    assert str(caught.value) == (
        "model.rank is 17, and model.init=pissa takes so many parts of each weight, the smallest "
        "of which has 16. Set model.rank to that or less, or model.init=default."
    )


def test_blocks_that_do_not_fit_the_inputs_are_refused(tiny_base: Path) -> None:
    with pytest.raises(Unsupported, match=r"model\.rank is 24, .* Set model\.rank=16\."):
        opened(tiny_base, "oft", rank=24)
