"""A gated feed-forward layer's product and the linear layer below it (Shazeer 2020, eq. 6).

    p = act(a) ∘ b        da = dp ∘ b ∘ act'(a)        db = dp ∘ act(a)        y = linear(p)

One autograd function for both where the layer below is plain or plain LoRA: a and b are kept, and p
is made again for the gradient of the linear layer, at one product a number, since act(a) is made
again for db anyway. Elsewhere a function for p alone. The layers around them stay the model's own
modules.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import gelu, silu

from tunesmith.models.fused.linear import (
    Grads,
    Parts,
    forward,
    input_gradient,
    low_gradient,
    part_gradients,
    plain_linear,
)
from tunesmith.models.fused.lora import FusedLora

aten = torch.ops.aten
Forward = Callable[[torch.Tensor], torch.Tensor]
Activation = tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]

ACTIVATIONS: dict[str, Activation] = {
    "silu": (silu, aten.silu_backward),
    "gelu": (gelu, aten.gelu_backward),
    "gelu_tanh": (
        partial(gelu, approximate="tanh"),
        partial(aten.gelu_backward, approximate="tanh"),
    ),
}
"""Name to (activation, its backward (dy, x) → dx)."""

_CHILDREN = {"gate_proj", "up_proj", "down_proj", "act_fn"}


def fused_gate(module: nn.Module) -> Forward | None:
    """A forward that equals `module`'s, or None if it is no gated feed-forward of a known kind."""
    if {name for name, _ in module.named_children()} != _CHILDREN or list(
        module.parameters(recurse=False)
    ):
        return None
    weight = getattr(module.gate_proj, "weight", None)
    if weight is None or weight.ndim != 2 or not weight.is_floating_point():  # packed: quantised
        return None
    for name in ACTIVATIONS:
        candidate = partial(_feed_forward, module, name)
        if _equal(module, candidate, weight):
            return candidate
    return None


def _feed_forward(module: Any, activation: str, x: torch.Tensor) -> torch.Tensor:
    gate, up, down = module.gate_proj(x), module.up_proj(x), module.down_proj
    parts = down.parts(gate) if isinstance(down, FusedLora) else plain_linear(down, gate)
    y: torch.Tensor
    if parts is None:
        y = down(_gated(gate, up, activation))
    else:
        y = _gated_linear(gate, up, activation, *parts)
    return y


def _equal(module: nn.Module, candidate: Forward, weight: torch.Tensor) -> bool:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 8, weight.shape[1], generator=generator).to(weight) * 3
    tolerance = 1e-6 if weight.dtype == torch.float32 else 2**-7
    with torch.no_grad():
        wanted = module(x)
        scale = float(wanted.abs().max())
        return torch.allclose(candidate(x), wanted, rtol=tolerance, atol=tolerance * scale)


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: torch.Tensor, up: torch.Tensor, activation: str) -> torch.Tensor:
        ctx.save_for_backward(gate, up)
        ctx.activation = activation
        return ACTIVATIONS[activation][0](gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Grads:
        gate, up = ctx.saved_tensors
        act, act_backward = ACTIVATIONS[ctx.activation]
        return act_backward(grad * up, gate), act(gate).mul_(grad), None


class _GatedLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gate: torch.Tensor, up: torch.Tensor, activation: str, *tensors: Any
    ) -> torch.Tensor:
        parts = Parts(*tensors)
        product = ACTIVATIONS[activation][0](gate).mul_(up)
        y_NO, low_Nr = forward(product.flatten(0, -2), parts)
        ctx.save_for_backward(gate, up, low_Nr, *parts[:4])
        ctx.activation, ctx.scaling = activation, parts.scaling
        return y_NO.view(*gate.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Grads:
        gate, up, low_Nr, weight, bias, lora_down, lora_up = ctx.saved_tensors
        parts = Parts(weight, bias, lora_down, lora_up, ctx.scaling)
        act, act_backward = ACTIVATIONS[ctx.activation]
        grad_NO = grad.reshape(-1, grad.shape[-1])
        d_low_Nr = low_gradient(grad_NO, parts)
        d_product = input_gradient(grad_NO, d_low_Nr, parts).view(gate.shape)
        active = act(gate)
        product_NI = (active * up).flatten(0, -2)
        needed = ctx.needs_input_grad[3:]
        d_parts = part_gradients(grad_NO, product_NI, low_Nr, d_low_Nr, parts, needed)
        d_up = active.mul_(d_product)
        return act_backward(d_product.mul_(up), gate), d_up, None, *d_parts


_gated: Callable[..., torch.Tensor] = _Gated.apply
_gated_linear: Callable[..., torch.Tensor] = _GatedLinear.apply
