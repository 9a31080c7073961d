"""A saved LoRA adapter as plain matrices: y = W x + s B (A x) (Hu et al. 2022, eq. 3).

Read from PEFT's format, without PEFT: an adapter of many is only ever added to a product that is
computed for all. What is more than that sum is not read, and `alone` says why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tunesmith.core.errors import ModelError
from tunesmith.core.files import read_json

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

_STEM = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"

_NUMBERED = re.compile(r"\.\d+\.")
"""Stands in the name of what belongs to one layer of a stack: not in a head's."""

_MORE: dict[str, str] = {
    "use_dora": "is DoRA, which scales the base's own weights",
    "modules_to_save": "has whole layers of its own",
    "trainable_token_indices": "has embeddings of its own",
    "lora_bias": "has biases of its own",
    "layer_replication": "repeats layers",
    "target_parameters": "stands on weights that are in no linear layer",
    "alora_invocation_tokens": "is active behind certain tokens only",
    "use_qalora": "is of another form (QALoRA)",
    "arrow_config": "chooses among others",
    "use_bdlora": "is of another form (BDLoRA)",
}
"""Keys of the configuration that make more of it than a sum, wherever they are set."""


@dataclass(frozen=True, slots=True)
class Lora:
    """`parts` are, by the name of a layer, A turned (I, r) and s B turned (r, O)."""

    rank: int
    parts: Mapping[str, tuple[torch.Tensor, torch.Tensor]]

    @property
    def bytes(self) -> int:
        """Of all its matrices."""
        return sum(part.nbytes for parts in self.parts.values() for part in parts)


def alone(folder: Path) -> str:
    """Why the adapter in `folder` needs a base to itself; "" for a plain LoRA on linear layers.

    Raises ModelError if it cannot be read.
    """
    config = _config(folder)
    if config.get("peft_type") != "LORA":
        return f"is of the kind {config.get('peft_type')}"
    for key, reason in _MORE.items():
        if config.get(key):
            return reason
    if config.get("bias", "none") != "none":
        return "has biases of its own"
    for name in _names(folder):
        place = _place(name)
        if place is None or not _NUMBERED.search(place):
            return f"has weights outside of the linear layers below the head ({name})"
    return ""


def virtual_tokens(folder: Path) -> int:
    """How many tokens of the context an adapter takes that puts learned ones before the first."""
    return int(_config(folder).get("num_virtual_tokens") or 0)


def read_lora(folder: Path, model: PreTrainedModel) -> Lora:
    """The matrices of an adapter that `alone` has nothing against, in the type of `model`.

    Raises ModelError if it is not whole, or was trained on a model of other sizes.
    """
    config, tensors = _config(folder), _tensors(folder)
    parts: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name, down_rI in tensors.items():
        if not name.endswith(_DOWN):
            continue
        place = str(_place(name))
        up_Or = tensors.get(name.removesuffix(_DOWN) + _UP)
        if up_Or is None or not _fits(model, place, down_rI, up_Or):
            raise ModelError(
                f"The adapter in {folder} does not fit its base: what it has for {place} is "
                "missing or of another size. Put back the whole folder, or name the base that it "
                "was trained on."
            )
        # Scaled in float32 and rounded once, whatever the type of the base.
        scaled = up_Or.float() * _scaling(config, place, len(down_rI))
        parts[place] = (_turned(down_rI, model), _turned(scaled, model))
    if not parts:
        raise ModelError(f"The adapter in {folder} is empty. Put back the whole folder.")
    return Lora(max(down.shape[1] for down, _ in parts.values()), parts)


def _turned(weight: torch.Tensor, model: PreTrainedModel) -> torch.Tensor:
    return weight.t().to(device=model.device, dtype=model.dtype).contiguous()


def _scaling(config: Mapping[str, Any], place: str, rank: int) -> float:
    """alpha / r, or alpha / √r (Kalajdzievski 2023, theorem 3.2)."""
    patterns = config.get("alpha_pattern") or {}
    own = next((value for key, value in patterns.items() if _named(place, key)), None)
    alpha = float(config["lora_alpha"] if own is None else own)
    return alpha / (rank**0.5 if config.get("use_rslora") else rank)


def _named(place: str, key: str) -> bool:
    return place == key or place.endswith(f".{key}")


def _place(name: str) -> str | None:
    """The layer that a tensor of PEFT's stands on, None for any that is not one of two factors."""
    for ending in (_DOWN, _UP):
        if name.startswith(_STEM) and name.endswith(ending):
            return name.removeprefix(_STEM).removesuffix(ending)
    return None


def _fits(model: PreTrainedModel, place: str, down_rI: torch.Tensor, up_Or: torch.Tensor) -> bool:
    try:
        layer: Any = model.get_submodule(place)
    except AttributeError:
        return False
    if isinstance(layer, Conv1D):  # which keeps its weight the other way round
        sizes = tuple(layer.weight.shape)
    elif isinstance(layer, nn.Linear):
        sizes = (layer.in_features, layer.out_features)
    else:
        return False
    return (down_rI.shape[1], up_Or.shape[0]) == sizes and len(down_rI) == up_Or.shape[1]


def _config(folder: Path) -> dict[str, Any]:
    try:
        return dict(read_json(folder / CONFIG))
    except (OSError, ValueError) as error:
        raise _unreadable(folder, error) from error


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise _unreadable(folder, error) from error


def _names(folder: Path) -> list[str]:
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as opened:
            return list(opened.keys())
    except (OSError, SafetensorError) as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> ModelError:
    return ModelError(f"The adapter in {folder} cannot be read ({error}). Put back a copy of it.")
