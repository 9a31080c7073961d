"""The LoRA family: low-rank adapters on linear layers and convolutions, through PEFT."""

from __future__ import annotations

from peft import LoraConfig, get_peft_model

from tunesmith.core.seeds import derive
from tunesmith.models.fused import fuse_lora
from tunesmith.models.methods.places import adapted, sees, task_of, turned
from tunesmith.models.methods.starts import begin_at
from tunesmith.models.methods.tuned import ADAPTER, MethodSettings, Tuned
from tunesmith.models.open import Base
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
        **adapted(base, settings.layers),
        **variant,  # type: ignore[arg-type]  # switches
    )
    if not sees(base.model):
        fuse_lora(config, base.model)
    with seeded(derive(seed, "adapter"), base.model.device):
        module = get_peft_model(base.model, config, autocast_adapter_dtype=False)
        if INITS[init].moves:
            begin_at(module, init)
    # For plain PEFT. Our own `reopen` is given the base and never reads it.
    module.peft_config["default"].base_model_name_or_path = base.described.reference
    return Tuned(base, module, ADAPTER, base)
