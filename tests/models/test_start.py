"""The weights that training starts from: the base again for a while, to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support import opened, weights_of
from tunesmith.models.open import load_weights

IDS = torch.arange(3, 40)[None]


@pytest.mark.parametrize("method", ["full", "last_layers", "head", "lora"])
def test_within_it_the_model_is_its_base_and_afterwards_what_it_was(
    tiny_base: Path, method: str
) -> None:
    tuned = opened(tiny_base, method).remembering()
    assert tuned.start
    model = tuned.module.train()
    before = weights_of(model)
    with torch.no_grad():
        base = model(IDS).logits
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.3)
        moved, tuned_logits = weights_of(model), model(IDS).logits
        with tuned.start.restored():
            assert not model.training
            assert torch.equal(model(IDS).logits, base)
            assert _same(weights_of(model), before)
    assert model.training
    assert _same(weights_of(model), moved)
    assert _same(dict(tuned.start.weights), before)
    assert torch.equal(model(IDS).logits, tuned_logits)
    assert not torch.equal(tuned_logits, base)


def test_an_error_within_leaves_the_model_as_it_was(tiny_base: Path) -> None:
    tuned = opened(tiny_base, "full").remembering()
    assert tuned.start
    with torch.no_grad():
        tuned.module.get_output_embeddings().weight.zero_()
    moved = weights_of(tuned.module)
    with pytest.raises(MemoryError), tuned.start.restored():
        raise MemoryError
    assert _same(weights_of(tuned.module), moved)


def test_what_is_frozen_is_not_held_twice(tiny_base: Path) -> None:
    whole = sum(weight.nbytes for weight in load_weights(str(tiny_base), "float32").parameters())
    held = {
        method: start.bytes
        for method in ("full", "last_layers", "head", "lora")
        if (start := opened(tiny_base, method).remembering().start)
    }
    assert held["full"] == whole
    assert max(held["last_layers"], held["head"], held["lora"]) < whole / 2


def _same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)
