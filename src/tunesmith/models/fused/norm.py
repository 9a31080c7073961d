"""RMSNorm as one autograd function (Zhang and Sennrich 2019, eq. 4).

    r = (mean(x²) + ε)^(−½)        y = w ∘ (r x)
    dx = r (w∘g − x̂ · mean(w∘g ∘ x̂)),  x̂ = r x        dw = Σ g ∘ x̂

Mean and gradient are float32. Only x and r are kept. The families differ in the weight (Gemma's is
1 + w) and in where they round, so a module is taken over only after it has shown on random numbers
which of the two it computes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

Forward = Callable[[torch.Tensor], torch.Tensor]


def fused_norm(module: nn.Module) -> Forward | None:
    """A forward that equals `module`'s, or None if it is not an RMSNorm of a known kind."""
    weight = getattr(module, "weight", None)
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    names = [name for name, _ in module.named_parameters()]
    if names != ["weight"] or weight is None or weight.ndim != 1 or not isinstance(eps, float):
        return None
    for offset in (0.0, 1.0):
        if _equal(module, eps, offset, weight):
            return partial(_norm, module, eps, offset)
    return None


def _norm(module: nn.Module, eps: float, offset: float, x: torch.Tensor) -> torch.Tensor:
    return _rms_norm(x, module.weight, eps, offset)


def _equal(module: nn.Module, eps: float, offset: float, weight: torch.Tensor) -> bool:
    """Whether both give the same on random numbers and weights, up to a rounding of the dtype."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 8, len(weight), generator=generator).to(weight) * 3
    random = torch.randn(len(weight), generator=generator).to(weight)
    tolerance = 1e-6 if weight.dtype == torch.float32 else 2**-7
    with torch.no_grad():
        try:
            wanted = functional_call(module, {"weight": random}, (x,))
        except (TypeError, ValueError, RuntimeError):  # a norm of another signature
            return False
        return torch.allclose(
            _rms_norm(x, random, eps, offset), wanted, rtol=tolerance, atol=tolerance
        )


class _RMSNorm(torch.autograd.Function):
    """x (..., D), weight (D)."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float, offset: float
    ) -> torch.Tensor:
        wide = x.float()
        norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        scale = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, scale, weight)
        ctx.offset = offset
        if offset:  # Gemma multiplies before it rounds
            return (wide * scale).mul_(weight.float().add(offset)).to(x.dtype)
        return (wide * scale).to(x.dtype).mul_(weight)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, scale, weight = ctx.saved_tensors
        unit = x.float() * scale
        wide = grad.float()
        d_weight = None
        if ctx.needs_input_grad[1]:
            d_weight = (wide * unit).flatten(0, -2).sum(0).to(weight.dtype)
        if not ctx.needs_input_grad[0]:
            return None, d_weight, None, None
        d_unit = wide * weight.float().add(ctx.offset)
        mean = (d_unit * unit).mean(-1, keepdim=True)
        d_x = d_unit.sub_(unit.mul_(mean)).mul_(scale)
        return d_x.to(x.dtype), d_weight, None, None


_rms_norm: Callable[..., torch.Tensor] = _RMSNorm.apply
