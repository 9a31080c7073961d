"""What does not go with a base held in 4 bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tunesmith.recipe.methods import INITS, METHODS

if TYPE_CHECKING:
    from tunesmith.recipe.sections import Recipe


def quantised(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """(key, finished sentence) for each value that a base in 4 bits cannot bear."""
    model = recipe.model
    if model.quantize == "none":
        return
    asked = f"model.quantize={model.quantize}"
    if recipe.objective.kind == "image":
        yield (
            "model.quantize",
            f"{asked} is for models that read text, and objective.kind is image. Set "
            "model.quantize=none.",
        )
    method, init = METHODS[model.method], INITS[model.init]
    if method.saves == "model":
        yield (
            "model.method",
            f"{asked} holds the base's weights in 4 bits, which can be neither trained nor saved, "
            f"and model.method={model.method} saves a whole model. Set model.method=lora, or "
            "model.quantize=none.",
        )
    elif not method.quantised:
        yield (
            "model.method",
            f"{asked} holds linear layers in 4 bits, and PEFT cannot put "
            f"model.method={model.method} on such. Set model.method=lora, or model.quantize=none.",
        )
    if init.moves:
        yield (
            "model.init",
            f"{asked} holds the base's weights in 4 bits, and model.init={model.init} begins with "
            "parts of the weights as they were. Set model.init=default, or model.quantize=none.",
        )
