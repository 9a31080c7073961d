"""What is trained of a base: the builders of the methods that `recipe.methods` describes.

A builder takes an opened base, the model section and a seed. `attach` is the door to them: it
refuses a base that lacks what a method needs, in the sentence that docs/adapters.md is made from.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftModel, PeftType
from torch import nn
from transformers import PreTrainedModel

from tunesmith.core.errors import Unsupported
from tunesmith.models.fused import fuse_lora
from tunesmith.models.methods import adalora, lora, own_weights, places, prompts, small
from tunesmith.models.methods.tuned import ADAPTER, MODEL, MethodSettings, Tuned
from tunesmith.models.open import Base, is_encoder_decoder
from tunesmith.recipe.methods import InitName, MethodName, Need, needs_of, reason_against

__all__ = [
    "ADAPTER",
    "METHODS",
    "MODEL",
    "MethodSettings",
    "Tuned",
    "attach",
    "lacks",
    "merge",
    "reopen",
    "require",
]

METHODS: dict[MethodName, Callable[[Base, MethodSettings, int], Tuned]] = {
    "full": own_weights.full,
    "last_layers": own_weights.last_layers,
    "head": own_weights.head,
    "bias": own_weights.bias,
    "norm": small.norm,
    "lora": lora.lora,
    "rslora": lora.rslora,
    "dora": lora.dora,
    "lora_plus": lora.lora_plus,
    "adalora": adalora.adalora,
    "vera": small.vera,
    "oft": small.oft,
    "ia3": small.ia3,
    "prompt_tuning": prompts.prompt_tuning,
    "prefix_tuning": prompts.prefix_tuning,
}

WITH_PICTURES: tuple[MethodName, ...] = (
    *("lora", "rslora", "dora", "lora_plus"),
    *("full", "last_layers", "head"),
)
"""Methods that touch the language model alone, which is what is trained of a base that sees."""

_HAS: dict[Need, Callable[[PreTrainedModel], bool]] = {
    "head": lambda model: (  # what labels is given one
        not model.can_generate() or isinstance(model.get_output_embeddings(), nn.Linear)
    ),
    "biases": lambda model: any(own_weights.is_bias(name) for name, _ in model.named_parameters()),
    "linear_only": lambda model: not places.turned(model),
    "ia3_targets": small.knows_factors,
    "decoder_only": lambda model: not is_encoder_decoder(model.config),
    "one_stack": lambda model: not is_encoder_decoder(model.config),
    "linear_layers": lambda model: places.turned(model) or bool(places.linear_layers(model)),
    "no_convolutions": lambda model: not places.convolutions(model),
    "plain_convolutions": lambda model: not getattr(model.config, "tf_padding", False),
}


def lacks(model: PreTrainedModel, method: MethodName, init: InitName = "default") -> Need | None:
    """The first thing that the method needs and this model has not."""
    return next((need for need in needs_of(method, init) if not _HAS[need](model)), None)


def require(model: PreTrainedModel, name: str, method: MethodName, init: InitName) -> None:
    """Raises Unsupported, in the words of docs/adapters.md, where `model` lacks what they need."""
    if need := lacks(model, method, init):
        able = [each for each in METHODS if not lacks(model, each)]
        raise Unsupported(reason_against(method, init, need, name, able))


def attach(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """Prepare a base for training by the method that the recipe names.

    Raises Unsupported for a base that this method cannot train.
    """
    if base.sees and settings.method not in WITH_PICTURES:
        raise Unsupported(
            f"model.method {settings.method} does not train a base on rows with pictures. Choose "
            f"one of {', '.join(WITH_PICTURES)}, or leave out the rows with pictures."
        )
    name = f"{base.described.name} ({type(base.model).__name__})"
    require(base.model, name, settings.method, settings.init)
    return METHODS[settings.method](base, settings, seed)


def reopen(base: Base, folder: Path) -> Base:
    """Put a saved adapter on a freshly opened base; returns the base that answers with it."""
    config: Any = PeftConfig.from_pretrained(str(folder))
    if config.peft_type == PeftType.LORA:
        fuse_lora(config, base.model)  # what is served computes as what was trained, bit for bit
    with small.any_norm():
        module = PeftModel.from_pretrained(
            base.model, folder, config=config, autocast_adapter_dtype=False
        )
    module.eval()
    return prompts.with_prompt(base, module) if config.is_prompt_learning else base


def merge(base: Base, adapter: Path, folder: Path) -> None:
    """Write the model that a freshly opened base is with a saved adapter, as a model folder.

    The adapter is one of a method that merges (`recipe.methods`); `base` is changed in place.
    """
    with small.any_norm():
        module: Any = PeftModel.from_pretrained(base.model, adapter, autocast_adapter_dtype=False)
    module.merge_and_unload().save_pretrained(str(folder))
    base.described.save_reader(folder)
