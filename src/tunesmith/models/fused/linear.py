"""A linear layer, with LoRA or without, as plain functions for autograd functions to be made of.

    y = x Wᵀ + b + s (x Aᵀ) Bᵀ            (Hu et al. 2022, eq. 3)

    dx = g W + s (g B) A      dA = s (g B)ᵀ x      dB = s gᵀ (x Aᵀ)      dW = gᵀ x      db = Σ g

The products of rank r are added into the large ones where they lie: nothing of the size of y or x
is copied, scaled or cast.

Shape legend: N tokens, I inputs, O outputs, r rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import linear

# What a module keeps hooks in.
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

Grads = tuple[torch.Tensor | None, ...]


class Parts(NamedTuple):
    """What a linear layer computes with; without LoRA `down_rI` and `up_Or` are None."""

    weight_OI: torch.Tensor
    bias_O: torch.Tensor | None
    down_rI: torch.Tensor | None = None
    up_Or: torch.Tensor | None = None
    scaling: float = 0.0


def hooked(module: nn.Module) -> bool:
    """Whether a hook waits for calls of `module`: computing with its weight would pass it over."""
    return any(getattr(module, hooks) for hooks in _HOOKS)


def plain_linear(layer: nn.Module, x: torch.Tensor) -> Parts | None:
    """The parts of an `nn.Linear` that computes just x Wᵀ + b with `x`, or None."""
    if type(layer) is not nn.Linear or hooked(layer) or "forward" in vars(layer):
        return None
    if layer.weight.dtype != x.dtype or torch.is_autocast_enabled(x.device.type):
        return None
    return Parts(layer.weight, layer.bias)


def forward(x_NI: torch.Tensor, parts: Parts) -> tuple[torch.Tensor, torch.Tensor | None]:
    """y (N, O), and x Aᵀ (N, r) where there is LoRA."""
    y_NO = linear(x_NI, parts.weight_OI, parts.bias_O)
    if parts.down_rI is None or parts.up_Or is None:
        return y_NO, None
    low_Nr = x_NI @ parts.down_rI.t()
    return y_NO.addmm_(low_Nr, parts.up_Or.t(), alpha=parts.scaling), low_Nr


def low_gradient(grad_NO: torch.Tensor, parts: Parts) -> torch.Tensor | None:
    """s g B, (N, r): the gradient of x Aᵀ where there is LoRA."""
    return None if parts.up_Or is None else (grad_NO @ parts.up_Or).mul_(parts.scaling)


def input_gradient(
    grad_NO: torch.Tensor, d_low_Nr: torch.Tensor | None, parts: Parts
) -> torch.Tensor:
    """dx, (N, I)."""
    d_x_NI = grad_NO @ parts.weight_OI
    if d_low_Nr is not None and parts.down_rI is not None:
        d_x_NI.addmm_(d_low_Nr, parts.down_rI)
    return d_x_NI


def part_gradients(
    grad_NO: torch.Tensor,
    x_NI: torch.Tensor,
    low_Nr: torch.Tensor | None,
    d_low_Nr: torch.Tensor | None,
    parts: Parts,
    needed: Sequence[bool],
) -> Grads:
    """The gradients of `parts`, in their order, None for each that is not `needed`."""
    d_weight = d_bias = d_down = d_up = None
    if needed[0]:
        d_weight = grad_NO.t() @ x_NI
    if needed[1]:
        d_bias = grad_NO.sum(0)
    if needed[2] and d_low_Nr is not None:
        d_down = d_low_Nr.t() @ x_NI
    if needed[3] and low_Nr is not None:
        d_up = (grad_NO.t() @ low_Nr).mul_(parts.scaling)
    return d_weight, d_bias, d_down, d_up, None
