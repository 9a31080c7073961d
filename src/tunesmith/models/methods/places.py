"""Where adapters stand in a model: on which layers, and what is trained whole beside them.

In a model that reads text they stand on its linear layers; in one that sees, on its convolutions,
too, and its head, which is new, is trained whole and saved with them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tunesmith.models.methods.own_weights import first_of_top
from tunesmith.models.open import Base, decoder_layers, is_encoder_decoder, text_body
from tunesmith.models.vision import head_of, stages_of

ALL = "all-linear"
"""PEFT's word for the linear layers but the head."""


def sees(model: PreTrainedModel) -> bool:
    """Whether it labels images."""
    return type(model).__name__.endswith("ForImageClassification")


def task_of(model: PreTrainedModel) -> str | None:
    """What PEFT calls the kind of model: one that writes, one whose states are read; None for one
    that sees, which it has no word for."""
    if sees(model):
        return None
    if is_encoder_decoder(model.config):
        return "SEQ_2_SEQ_LM"
    return "CAUSAL_LM" if model.can_generate() else "FEATURE_EXTRACTION"


def turned(model: nn.Module) -> bool:
    """Whether linear layers keep their weights the other way round, as GPT-2's do."""
    return any(isinstance(module, Conv1D) for module in model.modules())


def linear_layers(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """The plain linear layers but the head, by name."""
    head = head_of(model) if sees(model) else model.get_output_embeddings()
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }


def convolutions(model: PreTrainedModel) -> dict[str, nn.Conv2d]:
    """The convolutions that an adapter stands on, by name; none in a model that reads text.

    One that looks at each channel alone has too few weights for a product of two to be smaller, and
    the first layer, which reads the pixels, sees what it saw before.
    """
    if not sees(model):
        return {}
    channels = int(model.config.num_channels)
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and module.groups == 1 and module.in_channels != channels
    }


def beside(model: PreTrainedModel) -> dict[str, Any]:
    """PEFT's description of what is trained whole beside adapters: the head of one that sees."""
    if not sees(model):
        return {}
    head = head_of(model)
    (name,) = (name for name, module in model.named_modules() if module is head)
    return {"modules_to_save": [name.partition(".")[0]]}


def on_linear(model: PreTrainedModel) -> dict[str, Any]:
    """PEFT's description of adapters on every linear layer, for those that know no convolution."""
    if not sees(model):
        return {"target_modules": ALL}
    return {"target_modules": list(linear_layers(model)), **beside(model)}


def adapted(base: Base, count: int) -> dict[str, Any]:
    """PEFT's description of where LoRA stands: everywhere, or in the top `count` layers."""
    if sees(base.model):
        return {"target_modules": _in_stages(base.model, count), **beside(base.model)}
    if count == base.described.layers and not base.sees:
        return {"target_modules": ALL}
    layers = decoder_layers(base.model)
    first = first_of_top(base, layers, count, "leave model.layers out to adapt them all")
    linear = {
        name.rpartition(".")[2]
        for layer in layers[first:]
        for name, module in layer.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
    }
    (stack,) = (name for name, module in base.model.named_modules() if module is layers)
    if is_encoder_decoder(base.model.config):
        # Named in full: the encoder's layers have the same numbers and names.
        return {
            "target_modules": [
                f"{stack}.{number}.{name}"
                for number in range(first, len(layers))
                for name, module in layers[number].named_modules()
                if isinstance(module, nn.Linear)
            ]
        }
    return {
        "target_modules": sorted(linear),
        "layers_to_transform": list(range(first, len(layers))),
        # As PEFT matches it: from behind the first dot, so that a part that sees is not meant. A
        # body without a head may have the stack at its root.
        "layers_pattern": stack.partition(".")[2] or stack,
    }


def norms(model: PreTrainedModel) -> list[str]:
    """The names of the norms: all of a model that sees, those of the language model of another."""
    within = {id(each) for each in (model if sees(model) else text_body(model)).modules()}
    return [
        name
        for name, module in model.named_modules()
        if id(module) in within and type(module).__name__.removesuffix("2d").endswith("Norm")
    ]


def _in_stages(model: PreTrainedModel, count: int) -> list[str]:
    """The layers of the top `count` stages and behind them."""
    stages = stages_of(model)
    first = next(stages[max(0, len(stages) - count)].parameters())
    reached = _from(model, None if count >= len(stages) else first)
    found = linear_layers(model) | convolutions(model)
    return [
        name for name, _ in model.named_modules() if name in found and _in(found[name], reached)
    ]


def _in(module: nn.Linear | nn.Conv2d, reached: set[int]) -> bool:
    return id(module.weight) in reached


def _from(model: nn.Module, first: torch.Tensor | None) -> set[int]:
    """The weights from `first` on, in the order in which an image passes them; all for None."""
    weights = list(model.parameters())
    start = 0 if first is None else next(i for i, each in enumerate(weights) if each is first)
    return set(map(id, weights[start:]))
