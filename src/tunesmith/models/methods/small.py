"""Adapters of a few numbers a layer, through PEFT: VeRA, OFT, (IA)³, and the norms alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peft import (
    IA3Config,
    LNTuningConfig,
    OFTConfig,
    PeftConfig,
    VeraConfig,
    get_peft_model,
)
from peft.utils.constants import TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
from transformers import PreTrainedModel

from tunesmith.core.errors import Unsupported
from tunesmith.core.seeds import derive
from tunesmith.models.methods.places import (
    beside,
    linear_layers,
    norms,
    on_linear,
    sees,
    task_of,
    turned,
)
from tunesmith.models.methods.tuned import ADAPTER, MethodSettings, Tuned
from tunesmith.models.open import Base
from tunesmith.models.seeding import seeded


def vera(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """W + Λ_b B Λ_d A with random frozen A and B, shared (Kopiczko et al. 2024, equation 2).

    A and B are saved, so that the adapter opens alike on every machine.
    """
    config = VeraConfig(
        r=settings.rank,
        vera_dropout=settings.dropout,
        **on_linear(base.model),
        fan_in_fan_out=turned(base.model),
        projection_prng_key=derive(seed, "adapter"),
        task_type=task_of(base.model),
    )
    return _adapted(base, config, seed)


def oft(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """W R with R orthogonal, in blocks of `rank` inputs (Qiu et al. 2023, equation 4).

    Raises Unsupported where the inputs of a layer cannot be divided into such blocks.
    """
    for name, module in linear_layers(base.model).items():
        _require_blocks(name, module.in_features, settings.rank)
    config = OFTConfig(
        r=0,
        oft_block_size=settings.rank,
        **on_linear(base.model),
        task_type=task_of(base.model),
    )
    return _adapted(base, config, seed)


def ia3(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """l ∘ k, l ∘ v and l ∘ the inner states of feed-forward layers (Liu et al. 2022, §3.3)."""
    config = IA3Config(
        fan_in_fan_out=turned(base.model),
        task_type=task_of(base.model),
        **_factors(base.model),
    )
    return _adapted(base, config, seed)


def norm(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """The gain, and the bias if there is one, of every norm of the model that reads, or sees."""
    config = LNTuningConfig(
        target_modules=norms(base.model), task_type=task_of(base.model), **beside(base.model)
    )
    return _adapted(base, config, seed)


_SEEN = ("k_proj", "v_proj", "fc2")
"""Keys, values and the layer that reads the inner states, by their names in transformers' models
that see by attention (ViT, DeiT, Swin …)."""


def knows_factors(model: PreTrainedModel) -> bool:
    """Whether it is known which layers give keys, values and inner states."""
    if sees(model):
        return set(_SEEN) <= {name.rpartition(".")[2] for name in linear_layers(model)}
    return model.config.model_type in TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING


def _factors(model: PreTrainedModel) -> dict[str, Any]:
    """PEFT's description of where (IA)³'s factors stand, where it does not know it by itself."""
    if not sees(model):
        return {}
    named = {"target_modules": list(_SEEN), "feedforward_modules": [_SEEN[-1]]}
    return named | beside(model)


def _adapted(base: Base, config: PeftConfig, seed: int) -> Tuned:
    with any_norm(), seeded(derive(seed, "adapter"), base.model.device):
        module = get_peft_model(base.model, config, autocast_adapter_dtype=False)
    module.peft_config["default"].base_model_name_or_path = base.described.reference
    return Tuned(base, module, ADAPTER, base)


@contextmanager
def any_norm() -> Iterator[None]:
    """Inside, PEFT does not warn that it knows no such class of norm: it trains a copy of any."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Unsupported layer type")
        yield


def _require_blocks(name: str, inputs: int, size: int) -> None:
    if inputs % size:
        fitting = max(each for each in range(1, size + 1) if inputs % each == 0)
        raise Unsupported(
            f"model.rank is {size}, which model.method=oft takes as the size of its blocks, and "
            f"the {inputs} inputs of {name} cannot be divided into such. Set model.rank={fitting}."
        )
