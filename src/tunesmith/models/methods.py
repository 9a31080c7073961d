"""What is trained: everything, the top layers, or a LoRA adapter. One function each, one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from tunesmith.core.errors import Unsupported
from tunesmith.core.seeds import derive
from tunesmith.models.open import Base, decoder_layers, text_body
from tunesmith.models.seeding import seeded

ADAPTER, MODEL = "adapter", "model"


class MethodSettings(Protocol):
    """The resolved `model` section of a recipe, as far as it is read here."""

    @property
    def method(self) -> str: ...
    @property
    def rank(self) -> int: ...
    @property
    def alpha(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def layers(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Tuned:
    """A base prepared for training: only what is trained requires a gradient.

    `artefact` is "adapter" (PEFT's format) or "model" (a whole model folder).
    """

    base: Base
    module: PreTrainedModel | PeftModel
    artefact: str

    def save(self, folder: Path) -> None:
        """Write weights and tokenizer; plain transformers (and PEFT) open the folder."""
        if isinstance(self.module, PeftModel):
            # Left at "auto", PEFT asks the hub how many tokens the base has. We never add any.
            self.module.save_pretrained(str(folder), save_embedding_layers=False)
        else:
            self.module.save_pretrained(str(folder))
        self.base.described.tokenizer.save_pretrained(folder)

    @property
    def trainable(self) -> int:
        """How many parameters are trained."""
        return sum(p.numel() for p in self.module.parameters() if p.requires_grad)


def full(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """Every weight."""
    base.model.requires_grad_(True)
    return Tuned(base, base.model, MODEL)


def last_layers(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """The top k decoder layers and what follows them up to the head (the final norm)."""
    layers = decoder_layers(base.model)
    if settings.layers > len(layers):
        raise Unsupported(
            f"model.layers is {settings.layers}, but {base.described.name} has {len(layers)}. "
            "Ask for fewer, or use model.method full."
        )
    base.model.requires_grad_(False)
    stack = list(text_body(base.model).children())
    after = stack[next(i for i, module in enumerate(stack) if module is layers) + 1 :]
    for module in [*layers[len(layers) - settings.layers :], *after]:
        module.requires_grad_(True)
    return Tuned(base, base.model, MODEL)


def lora(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """Low-rank adapters on every linear layer but the head (Hu et al. 2022), through PEFT."""
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with seeded(derive(seed, "adapter"), base.model.device):
        module = get_peft_model(base.model, config, autocast_adapter_dtype=False)
    # For plain PEFT. Our own `reopen` is given the base and never reads it.
    module.peft_config["default"].base_model_name_or_path = base.described.reference
    return Tuned(base, module, ADAPTER)


METHODS: dict[str, Callable[[Base, MethodSettings, int], Tuned]] = {
    "full": full,
    "last_layers": last_layers,
    "lora": lora,
}


def reopen(base: Base, folder: Path) -> nn.Module:
    """Put a saved adapter on a freshly opened base. Afterwards `base.forward` answers with it."""
    module = PeftModel.from_pretrained(base.model, folder, autocast_adapter_dtype=False)
    return module.eval()
