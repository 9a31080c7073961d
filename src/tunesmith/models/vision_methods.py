"""What is trained of an image model, beside its head; and how it is saved and opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from tunesmith.core.errors import ModelError, Unsupported
from tunesmith.core.files import write_json
from tunesmith.core.seeds import derive
from tunesmith.models.methods.tuned import MethodSettings
from tunesmith.models.seeding import seeded
from tunesmith.models.vision import PREPROCESSOR, VisionDescribed, head_of, stages_of


def require_method(described: VisionDescribed, method: str) -> None:
    """Raises Unsupported for a method that cannot train this model."""
    if method not in ("full", "last_layers", "head", "lora"):
        raise Unsupported(
            f"model.method={method} cannot train image models. Set model.method to full, "
            "last_layers, head or lora."
        )
    if method == "lora" and getattr(described.config, "tf_padding", False):
        raise Unsupported(
            f"The code of {described.name} asks its convolutions for their stride, which PEFT's "
            "adapters do not have, so model.method=lora cannot train it. Set model.method to "
            "last_layers or full."
        )


def attach_vision(
    model: PreTrainedModel, described: VisionDescribed, settings: MethodSettings, seed: int
) -> nn.Module:
    """Make a gradient required of what the method trains; returns the model, perhaps wrapped.

    Raises Unsupported as `require_method`.
    """
    method = settings.method
    require_method(described, method)
    if method == "lora":
        return _lora(model, described, settings, seed)
    model.requires_grad_(method == "full")
    if method == "last_layers":
        _top(model, described, settings.layers)
    head_of(model).requires_grad_(True)
    return model


def save_vision(model: nn.Module, problem: str, preprocessor: dict[str, Any], folder: Path) -> None:
    """Write weights (an adapter's with the head), classes, and how images are prepared."""
    inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    inner.config.problem_type = problem
    if isinstance(model, PeftModel):
        model.save_pretrained(str(folder), save_embedding_layers=False)
        inner.config.save_pretrained(str(folder))  # id2label, for whoever opens it
    else:
        inner.save_pretrained(str(folder))
    write_json(folder / PREPROCESSOR, preprocessor)


def reopen_vision_adapter(model: PreTrainedModel, folder: Path) -> nn.Module:
    """Put a saved adapter, and its head, on a freshly opened base. Raises ModelError."""
    try:
        wrapped = PeftModel.from_pretrained(model, str(folder), autocast_adapter_dtype=False)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelError(
            f"The adapter in {folder} is of another base. Name its base again."
        ) from error
    return wrapped.eval()


def _top(model: PreTrainedModel, described: VisionDescribed, count: int) -> None:
    """Train the last `count` stages and all that follows them."""
    stages = stages_of(model)
    if count > len(stages):
        raise Unsupported(
            f"model.layers is {count}, but {described.name} has {len(stages)}. Ask for fewer, or "
            "use model.method full."
        )
    first = next(stages[len(stages) - count].parameters())
    reached = False
    for weight in model.parameters():  # in the order in which an image passes them
        reached = reached or weight is first
        weight.requires_grad_(reached)


def _lora(
    model: PreTrainedModel, described: VisionDescribed, settings: MethodSettings, seed: int
) -> PeftModel:
    """LoRA on linear layers and convolutions, with the head trained whole beside it.

    A convolution that looks at each channel alone has too few weights for a product of two to be
    smaller, and the first layer, which reads the pixels, sees what it saw before.
    """
    head = head_of(model)
    (name,) = (name for name, module in model.named_modules() if module is head)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_adapted(model, head, settings.layers),
        modules_to_save=[name.partition(".")[0]],
    )
    with seeded(derive(seed, "adapter"), model.device):
        wrapped = get_peft_model(model, config, autocast_adapter_dtype=False)
    wrapped.peft_config["default"].base_model_name_or_path = described.reference
    assert isinstance(wrapped, PeftModel)
    return wrapped


def _adapted(model: PreTrainedModel, head: nn.Linear, count: int) -> list[str]:
    """The layers with an adapter: those of the top `count` stages and behind them."""
    stages = stages_of(model)
    first = next(stages[max(0, len(stages) - count)].parameters())
    whole = count >= len(stages)
    reached = {id(weight) for weight in _from(model, None if whole else first)}
    channels = int(model.config.num_channels)
    return [
        name
        for name, module in model.named_modules()
        if module is not head
        and isinstance(module, nn.Linear | nn.Conv2d)
        and id(module.weight) in reached
        and not (
            isinstance(module, nn.Conv2d) and (module.groups > 1 or module.in_channels == channels)
        )
    ]


def _from(model: nn.Module, first: torch.Tensor | None) -> list[torch.Tensor]:
    """The weights from `first` on, all for None."""
    weights: list[torch.Tensor] = list(model.parameters())
    start = 0 if first is None else next(i for i, each in enumerate(weights) if each is first)
    return weights[start:]
