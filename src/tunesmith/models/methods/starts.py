"""LoRA that begins with a part of the weight (PiSSA, OLoRA), and leaves the base as it is.

The papers take the start out of the frozen weight: W − s·B₀A₀ is frozen and s·BA learned beside it.
Here W stays, and the frozen start is a second adapter with the opposite sign,

    y = W x + s·B A x − s·B₀ A₀ x

which is the same function. So no weight is rounded anew (in bfloat16 that alone would change the
base), the base can be measured beside its adapter, and what is saved, [B, −B₀]·[A; A₀], is an
ordinary LoRA of twice the rank that opens on the base in plain PEFT.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import save_file

from tunesmith.core.errors import Unsupported
from tunesmith.recipe.methods import InitName

START = "start"
"""The name of the frozen adapter."""

PISSA = "pissa_niter_16"
"""The singular vectors by 16 rounds of subspace iteration, as exact as the paper found useful."""


def begin_at(module: PeftModel, init: InitName) -> None:
    """Let a new LoRA begin as `init` says, with its start taken off again. Draws random numbers.

    Raises Unsupported if the rank is more than a weight has.
    """
    layers = [each for each in module.modules() if isinstance(each, LoraLayer)]
    config = module.peft_config["default"]
    assert isinstance(config, LoraConfig)
    _require_rank(layers, config.r, init)
    opposite = copy.deepcopy(config)
    opposite.lora_alpha, opposite.modules_to_save = -config.lora_alpha, None
    module.add_adapter(START, opposite, autocast_adapter_dtype=False)
    for layer in layers:
        _begin(layer, init)
    tuner: Any = module.base_model
    tuner.set_adapter(["default", START])
    for name, weight in module.named_parameters():
        if f".{START}." in name:
            weight.requires_grad_(False)


@torch.no_grad()
def _begin(layer: Any, init: InitName) -> None:
    """Both adapters of one layer. PEFT also changes the weight, which is put back."""
    weight = layer.get_base_layer().weight
    own = weight.data
    weight.data = own.clone()
    if init == "pissa":
        layer.pissa_init("default", PISSA)
    else:
        layer.olora_init("default")
    weight.data = own
    for factor in (layer.lora_A, layer.lora_B):
        begun = factor["default"].weight.data.to(own.dtype).contiguous()
        factor["default"].weight.data = begun
        factor[START].weight.data = begun.clone()


def _require_rank(layers: list[Any], rank: int, init: InitName) -> None:
    most = min(min(layer.get_base_layer().weight.shape) for layer in layers)
    if rank > most:
        raise Unsupported(
            f"model.rank is {rank}, and model.init={init} takes so many parts of each weight, the "
            f"smallest of which has {most}. Set model.rank to that or less, or model.init=default."
        )


def save_adapter(module: PeftModel, folder: Path) -> None:
    """Write a trained adapter of any method, in PEFT's format."""
    if START in module.peft_config:
        _save_difference(module, folder)
    else:
        # Left at "auto", PEFT asks the hub how many tokens the base has. We never add any.
        module.save_pretrained(str(folder), save_embedding_layers=False)


def _save_difference(module: PeftModel, folder: Path) -> None:
    """Write the trained adapter and its start as one LoRA of twice the rank."""
    folder.mkdir(parents=True, exist_ok=True)
    trained = get_peft_model_state_dict(module, adapter_name="default", save_embedding_layers=False)
    tuner: Any = module.base_model
    joined = tuner.subtract_mutated_init(trained, START, {})
    beside = {name: tensor for name, tensor in trained.items() if ".lora_" not in name}
    tensors = {name: tensor.contiguous() for name, tensor in {**beside, **joined}.items()}
    save_file(tensors, str(folder / SAFETENSORS_WEIGHTS_NAME), metadata={"format": "pt"})
    config = copy.deepcopy(module.peft_config["default"])
    assert isinstance(config, LoraConfig)
    # The scale, alpha / rank or alpha / √rank, stays.
    factor: Any = 2**0.5 if config.use_rslora else 2
    config.lora_alpha *= factor
    config.r, config.inference_mode = 2 * config.r, True
    config.save_pretrained(str(folder))
