"""The LoRA family: low-rank adapters on the linear layers but the head, through PEFT."""

from __future__ import annotations

from typing import Any

from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tunesmith.core.seeds import derive
from tunesmith.models.fused import fuse_lora
from tunesmith.models.methods.own_weights import first_of_top
from tunesmith.models.methods.starts import begin_at
from tunesmith.models.methods.tuned import ADAPTER, MethodSettings, Tuned
from tunesmith.models.open import Base, decoder_layers
from tunesmith.models.seeding import seeded
from tunesmith.recipe.methods import INITS


def lora(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """W + (alpha / r) B A (Hu et al. 2022, equation 3), begun as `init` says.

    `layers` of them, counted from the top, are adapted: all, or only late ones.
    """
    return _lora(base, settings, seed)


def rslora(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """W + (alpha / √r) B A (Kalajdzievski 2023, theorem 3.2)."""
    return _lora(base, settings, seed, use_rslora=True)


def dora(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """m (W + B A) / ‖W + B A‖, by rows (Liu et al. 2024, equation 5)."""
    return _lora(base, settings, seed, use_dora=True)


def lora_plus(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """LoRA whose B learns at `rate_ratio` times the rate of A (Hayou et al. 2024, §4)."""
    tuned = _lora(base, settings, seed)
    factors = {
        name: settings.rate_ratio
        for name, weight in tuned.module.named_parameters()
        if weight.requires_grad and ".lora_B." in name
    }
    return Tuned(tuned.base, tuned.module, ADAPTER, base, factors)


def _lora(base: Base, settings: MethodSettings, seed: int, **variant: bool) -> Tuned:
    init = settings.init
    own_init = init == "default" or INITS[init].moves
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        init_lora_weights=True if own_init else init,  # type: ignore[arg-type]  # names of PEFT's
        fan_in_fan_out=turned(base.model),
        task_type=task_of(base.model),
        **_adapted(base, settings.layers),
        **variant,  # type: ignore[arg-type]  # switches
    )
    fuse_lora(config, base.model)
    with seeded(derive(seed, "adapter"), base.model.device):
        module = get_peft_model(base.model, config, autocast_adapter_dtype=False)
        if INITS[init].moves:
            begin_at(module, init)
    # For plain PEFT. Our own `reopen` is given the base and never reads it.
    module.peft_config["default"].base_model_name_or_path = base.described.reference
    return Tuned(base, module, ADAPTER, base)


def task_of(model: PreTrainedModel) -> str:
    """What PEFT calls the kind of model: one that writes, or one whose states are read."""
    return "CAUSAL_LM" if model.can_generate() else "FEATURE_EXTRACTION"


def turned(model: nn.Module) -> bool:
    """Whether linear layers keep their weights the other way round, as GPT-2's do."""
    return any(isinstance(module, Conv1D) for module in model.modules())


def _adapted(base: Base, count: int) -> dict[str, Any]:
    """PEFT's description of where adapters stand: everywhere, or in the top `count` layers."""
    if count == base.described.layers:
        return {"target_modules": "all-linear"}
    layers = decoder_layers(base.model)
    first = first_of_top(base, layers, count, "leave model.layers out to adapt them all")
    linear = {
        name.rpartition(".")[2]
        for layer in layers[first:]
        for name, module in layer.named_modules()
        if isinstance(module, nn.Linear | Conv1D)
    }
    (stack,) = (name for name, module in base.model.named_modules() if module is layers)
    return {
        "target_modules": sorted(linear),
        "layers_to_transform": list(range(first, len(layers))),
        # As PEFT matches it: from behind the first dot, so that a part that sees is not meant.
        "layers_pattern": stack.partition(".")[2],
    }
