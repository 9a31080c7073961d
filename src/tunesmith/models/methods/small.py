"""Adapters of a few numbers a layer, through PEFT: VeRA, OFT, (IA)³, and the norms alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from peft import (
    IA3Config,
    LNTuningConfig,
    OFTConfig,
    PeftConfig,
    VeraConfig,
    get_peft_model,
)
from torch import nn

from tunesmith.core.errors import Unsupported
from tunesmith.core.seeds import derive
from tunesmith.models.methods.lora import task_of, turned
from tunesmith.models.methods.tuned import ADAPTER, MethodSettings, Tuned
from tunesmith.models.open import Base, text_body
from tunesmith.models.seeding import seeded


def vera(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """W + Λ_b B Λ_d A with random frozen A and B, shared (Kopiczko et al. 2024, equation 2).

    A and B are saved, so that the adapter opens alike on every machine.
    """
    config = VeraConfig(
        r=settings.rank,
        vera_dropout=settings.dropout,
        target_modules="all-linear",
        fan_in_fan_out=turned(base.model),
        projection_prng_key=derive(seed, "adapter"),
        task_type=task_of(base.model),
    )
    return _adapted(base, config, seed)


def oft(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """W R with R orthogonal, in blocks of `rank` inputs (Qiu et al. 2023, equation 4).

    Raises Unsupported where the inputs of a layer cannot be divided into such blocks.
    """
    head = base.model.get_output_embeddings()
    for name, module in base.model.named_modules():
        if isinstance(module, nn.Linear) and module is not head:
            _require_blocks(name, module.in_features, settings.rank)
    config = OFTConfig(
        r=0,
        oft_block_size=settings.rank,
        target_modules="all-linear",
        task_type=task_of(base.model),
    )
    return _adapted(base, config, seed)


def ia3(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """l ∘ k, l ∘ v and l ∘ the inner states of feed-forward layers (Liu et al. 2022, §3.3)."""
    config = IA3Config(fan_in_fan_out=turned(base.model), task_type=task_of(base.model))
    return _adapted(base, config, seed)


def norm(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """The gain, and the bias if there is one, of every norm of the language model."""
    within = {id(module) for module in text_body(base.model).modules()}
    norms = [
        name
        for name, module in base.model.named_modules()
        if id(module) in within and type(module).__name__.endswith("Norm")
    ]
    return _adapted(base, LNTuningConfig(target_modules=norms, task_type=task_of(base.model)), seed)


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
