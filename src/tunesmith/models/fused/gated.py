"""The product of a gated feed-forward layer as one autograd function (Shazeer 2020, eq. 6).

    y = act(a) ∘ b        da = dy ∘ b ∘ act'(a)        db = dy ∘ act(a)

Only a and b are kept; act(a) is made again. The layers around it stay the model's own modules.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import gelu, silu

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
    if weight is None or weight.ndim != 2:
        return None
    for name in ACTIVATIONS:
        candidate = partial(_feed_forward, module, name)
        if _equal(module, candidate, weight):
            return candidate
    return None


def _feed_forward(module: Any, activation: str, x: torch.Tensor) -> torch.Tensor:
    product = _gated(module.gate_proj(x), module.up_proj(x), activation)
    y: torch.Tensor = module.down_proj(product)
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
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gate, up = ctx.saved_tensors
        act, act_backward = ACTIVATIONS[ctx.activation]
        d_gate = act_backward(grad * up, gate)
        return d_gate, act(gate).mul_(grad), None


_gated: Callable[..., torch.Tensor] = _Gated.apply
