"""Adapters folded into the weights beside which they stand: a model that opens without PEFT."""

from __future__ import annotations

from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from tunesmith.core.errors import ModelError


def merge_adapters(model: nn.Module) -> None:
    """Replace each adapted layer of `model`, in place, by one layer that computes the same.

    For LoRA that is W + (alpha / r) B A (Hu et al. 2022, §4.1); every method has its own sum,
    which PEFT knows. Made in the type that the weights have: in bfloat16 it would round twice.

    Raises ModelError if a sum is not finite.
    """
    adapted = [name for name, part in model.named_modules() if isinstance(part, BaseTunerLayer)]
    for place in adapted:
        layer: Any = model.get_submodule(place)
        try:
            layer.merge(safe_merge=True)
        except ValueError as error:
            raise ModelError(
                f"The adapter of {place} cannot be merged: {error} Train again with a lower "
                "engine.learning_rate."
            ) from error
        above, _, name = place.rpartition(".")
        setattr(model.get_submodule(above), name, layer.get_base_layer())
