"""Bases whose linear layers are held in 4 bits, through transformers and bitsandbytes.

NF4 with scales that are quantised again (Dettmers et al. 2023, QLoRA, §3): blocks of 64 weights
share a scale of 8 bits, so a weight takes 4.13 bits. Each product unpacks its weight for a moment
in the model's own type. Embeddings, norms and the head stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from math import prod
from typing import Any

import torch
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedModel

from tunesmith.core.libraries import require_library

NONE = "none"

NF4_BITS = 4 + 8 / 64 + 32 / (64 * 256)
"""Of one weight, with its share of the scales (§3, double quantisation)."""


def require_quantiser(quantize: str) -> None:
    """See that what holds a base so is installed. Raises Unsupported with what to install."""
    if quantize == NONE:
        return
    for library in ("bitsandbytes", "accelerate"):
        require_library(f"model.quantize={quantize}", library, "quantised", "model.quantize=none")


def loading(dtype: torch.dtype, quantize: str, device: str) -> dict[str, Any]:
    """What transformers' `from_pretrained` is told of the number format.

    A quantised model is made on its device, a weight at a time; any other is loaded on the CPU.
    """
    if quantize == NONE:
        return {"dtype": dtype}
    require_quantiser(quantize)
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantize,
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"dtype": dtype, "quantization_config": config, "device_map": {"": device}}


def keep_differentiable(model: nn.Module) -> None:
    """Have every product of a loaded model made alike, in training and outside of it.

    On processors with bfloat16 instructions bitsandbytes repacks a weight, in place, the first time
    that it is used without gradients, for a product that rounds to bfloat16 and through which no
    gradient flows from then on: after a validation, lower layers would learn next to nothing.
    """
    for module in _layers(model):
        module.support_avx512bf16_for_cpu = False


def weight_count(weights: Iterable[nn.Parameter]) -> int:
    """How many numbers `weights` stand for: a packed byte is two."""
    return sum(prod(_shape(weight)) for weight in weights)


def weight_bytes(weights: Iterable[nn.Parameter]) -> int:
    """Their memory, the scales of packed ones included."""
    return sum(weight.nbytes + _scale_bytes(weight) for weight in weights)


def saved_by_packing(model: PreTrainedModel) -> float:
    """How many bytes less its linear layers but the head would take in NF4."""
    head = getattr(model, "get_output_embeddings", lambda: None)()
    linear = [m.weight for m in model.modules() if type(m) is nn.Linear and m is not head]
    frozen = [weight for weight in linear if not weight.requires_grad]
    return sum(weight.nbytes - weight.numel() * NF4_BITS / 8 for weight in frozen)


def is_quantised(model: nn.Module) -> bool:
    """Whether linear layers are held in 4 bits."""
    return any(True for _ in _layers(model))


def packed_error(device: str) -> float:
    """How far a product with a random weight in NF4 is from that in float32, as a share.

    What the library raises where it cannot compute here is not caught.
    """
    linear: Any = import_module("bitsandbytes.nn").LinearNF4
    generator = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(256, 256, generator=generator) for _ in range(2))
    layer = linear(256, 256, bias=False, compute_dtype=torch.float32)
    layer.weight = type(layer.weight)(weight, requires_grad=False, quant_type="nf4", module=layer)
    keep_differentiable(layer)
    with torch.no_grad():
        found = layer.to(device)(x.to(device)).cpu()
    wanted = x @ weight.t()
    return float((found - wanted).norm() / wanted.norm())


def _layers(model: nn.Module) -> Iterator[Any]:
    """The quantised layers, known without importing the library that they are of."""
    return (each for each in model.modules() if hasattr(each, "support_avx512bf16_for_cpu"))


def _shape(weight: nn.Parameter) -> torch.Size:
    state = getattr(weight, "quant_state", None)
    return weight.shape if state is None else state.shape


def _scale_bytes(weight: nn.Parameter) -> int:
    """Of the scales of the blocks, and of the scales of these."""
    state = getattr(weight, "quant_state", None)
    if state is None:
        return 0
    scales = [state.absmax, *([state.state2.absmax] if state.nested else [])]
    return sum(int(each.nbytes) for each in scales)
