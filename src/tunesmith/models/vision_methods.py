"""What is trained of an image model, beside its head; and how it is saved and opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from tunesmith.core.errors import ModelError, Unsupported
from tunesmith.core.files import write_json
from tunesmith.models.methods import MODEL, MethodSettings, Tuned, attach
from tunesmith.models.methods.small import any_norm
from tunesmith.models.methods.starts import save_adapter
from tunesmith.models.open import Base
from tunesmith.models.vision import PREPROCESSOR, VisionDescribed, head_of, stages_of


def attach_vision(
    model: PreTrainedModel, described: VisionDescribed, settings: MethodSettings, seed: int
) -> Tuned:
    """Make a gradient required of what the method trains, and of the head.

    Raises Unsupported for a model that the method cannot train.
    """
    base = Base(described, model, None)  # type: ignore[arg-type]  # methods run nothing
    if settings.method == "head":
        model.requires_grad_(False)
        tuned = Tuned(base, model, MODEL, base)
    elif settings.method == "last_layers":
        _top(model, described, settings.layers)
        tuned = Tuned(base, model, MODEL, base)
    else:
        tuned = attach(base, settings, seed)
    if tuned.artefact == MODEL:  # an adapter holds a copy of the head, which is trained
        head_of(model).requires_grad_(True)
    return tuned


def save_vision(model: nn.Module, problem: str, preprocessor: dict[str, Any], folder: Path) -> None:
    """Write weights (an adapter's with the head), classes, and how images are prepared."""
    inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    inner.config.problem_type = problem
    if isinstance(model, PeftModel):
        save_adapter(model, folder)
        inner.config.save_pretrained(str(folder))  # id2label, for whoever opens it
    else:
        inner.save_pretrained(str(folder))
    write_json(folder / PREPROCESSOR, preprocessor)


def reopen_vision_adapter(model: PreTrainedModel, folder: Path) -> nn.Module:
    """Put a saved adapter, and its head, on a freshly opened base. Raises ModelError."""
    try:
        with any_norm():
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
