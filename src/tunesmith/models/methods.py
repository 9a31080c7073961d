"""What is trained: everything, the top, or a LoRA adapter. One function each, one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tunesmith.core.errors import Unsupported
from tunesmith.core.seeds import derive
from tunesmith.models.fused import fuse_lora
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
    first = _first_of_top(base, layers, settings.layers, "use model.method full")
    base.model.requires_grad_(False)
    stack = list(text_body(base.model).children())
    after = stack[next(i for i, module in enumerate(stack) if module is layers) + 1 :]
    for module in [*layers[first:], *after]:
        module.requires_grad_(True)
    return Tuned(base, base.model, MODEL)


def head(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """The output embedding, untied from the input embedding where the base shares one matrix.

    The final norm stays: its gain is a scale of the head's columns, which the head learns anyway,
    and with the whole body frozen its output need be computed only once.
    """
    model = base.model
    output = model.get_output_embeddings()
    if not isinstance(output, nn.Linear):
        raise Unsupported(
            f"{type(model).__name__} has no linear head that could be trained alone. Use "
            "model.method lora or last_layers."
        )
    model.requires_grad_(False)
    if output.weight is model.get_input_embeddings().weight:
        _untie(model, output)
    output.requires_grad_(True)
    return Tuned(base, model, MODEL)


def lora(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """Low-rank adapters on the linear layers but the head (Hu et al. 2022), through PEFT.

    `layers` of them, counted from the top, are adapted: all, or only late ones.
    """
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        # GPT-2's linear layers keep their weights the other way round.
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in base.model.modules()),
        task_type="CAUSAL_LM" if base.model.can_generate() else "FEATURE_EXTRACTION",
        **_adapted(base, settings.layers),
    )
    fuse_lora(config, base.model)
    with seeded(derive(seed, "adapter"), base.model.device):
        module = get_peft_model(base.model, config, autocast_adapter_dtype=False)
    # For plain PEFT. Our own `reopen` is given the base and never reads it.
    module.peft_config["default"].base_model_name_or_path = base.described.reference
    return Tuned(base, module, ADAPTER)


METHODS: dict[str, Callable[[Base, MethodSettings, int], Tuned]] = {
    "full": full,
    "last_layers": last_layers,
    "head": head,
    "lora": lora,
}


def reopen(base: Base, folder: Path) -> nn.Module:
    """Put a saved adapter on a freshly opened base. Afterwards `base.forward` answers with it."""
    config = LoraConfig.from_pretrained(str(folder))
    fuse_lora(config, base.model)  # what is served computes as what was trained, to the last bit
    module = PeftModel.from_pretrained(
        base.model, folder, config=config, autocast_adapter_dtype=False
    )
    return module.eval()


def _first_of_top(base: Base, layers: nn.ModuleList, count: int, otherwise: str) -> int:
    """The index of the first of the top `count` layers. Raises Unsupported if there are fewer."""
    if count > len(layers):
        raise Unsupported(
            f"model.layers is {count}, but {base.described.name} has {len(layers)}. Ask for "
            f"fewer, or {otherwise}."
        )
    return len(layers) - count


def _untie(model: PreTrainedModel, output: nn.Linear) -> None:
    """Give the head a matrix of its own; a saved model says so and opens with both."""
    output.weight = nn.Parameter(output.weight.detach().clone())
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = False
    model.all_tied_weights_keys = {}  # what transformers would tie again


def _adapted(base: Base, count: int) -> dict[str, Any]:
    """PEFT's description of where adapters stand: everywhere, or in the top `count` layers."""
    if count == base.described.layers:
        return {"target_modules": "all-linear"}
    layers = decoder_layers(base.model)
    first = _first_of_top(base, layers, count, "leave model.layers out to adapt them all")
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
