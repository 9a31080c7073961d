"""A LoRA linear layer as one autograd function, put in through PEFT's custom modules.

The formula and its gradients are those of `linear`, with W and b frozen; only x and x Aᵀ are kept.
Adapters are saved in PEFT's format, since the layer is PEFT's own but for its forward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import Linear
from torch import nn

from tunesmith.models.fused.linear import (
    Grads,
    Parts,
    forward,
    input_gradient,
    low_gradient,
    part_gradients,
    plain_linear,
)


class FusedLora(Linear):
    """PEFT's LoRA layer over `nn.Linear`, computed as above where one plain adapter is active.

    In every other state (merged, disabled, several adapters, dropout in training, a variant such as
    DoRA, autocast) it is PEFT's own.
    """

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """(..., I) to (..., O)."""
        parts = self.parts(x)
        if parts is None or args or kwargs:
            result: torch.Tensor = super().forward(x, *args, **kwargs)
            return result
        return _lora_linear(x, *parts)

    @property
    def is_plain(self) -> bool:
        """Whether one adapter is active, and of no variant."""
        active = self.active_adapters
        return len(active) == 1 and active[0] in self.lora_A and active[0] not in self.lora_variant

    def parts(self, x: torch.Tensor) -> Parts | None:
        """What the function computes with, if PEFT would compute the same with `x`."""
        if self.merged or self.disable_adapters or not self.is_plain:
            return None
        name = self.active_adapters[0]
        down: Any = self.lora_A[name]
        up: Any = self.lora_B[name]
        dropout = self.lora_dropout[name]
        base = plain_linear(self.get_base_layer(), x)
        if base is None or any(part is not None and part.requires_grad for part in base[:2]):
            return None
        plain = (
            x.dtype == down.weight.dtype == up.weight.dtype
            and up.bias is None
            and down.bias is None
            and (isinstance(dropout, nn.Identity) or not dropout.training)
        )
        if not plain:
            return None
        return base._replace(down_rI=down.weight, up_Or=up.weight, scaling=self.scaling[name])


def fuse_lora(config: LoraConfig, model: nn.Module) -> None:
    """Have PEFT make the adapters of linear layers `FusedLora`.

    A model with layers that only derive from `nn.Linear` (quantised ones) keeps PEFT's own choice.
    """
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if all(type(module) is nn.Linear for module in linears):
        config._register_custom_module({nn.Linear: FusedLora})


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, *tensors: Any) -> torch.Tensor:
        parts = Parts(*tensors)
        x_NI = x.reshape(-1, x.shape[-1])
        y_NO, low_Nr = forward(x_NI, parts)
        ctx.save_for_backward(x_NI, low_Nr, *parts[:4])
        ctx.scaling, ctx.shape = parts.scaling, x.shape
        return y_NO.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Grads:
        x_NI, low_Nr, weight, bias, down, up = ctx.saved_tensors
        parts = Parts(weight, bias, down, up, ctx.scaling)
        grad_NO = grad.reshape(-1, grad.shape[-1])
        d_low_Nr = low_gradient(grad_NO, parts)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = input_gradient(grad_NO, d_low_Nr, parts).view(ctx.shape)
        needed = ctx.needs_input_grad[1:]
        return d_x, *part_gradients(grad_NO, x_NI, low_Nr, d_low_Nr, parts, needed)


_lora_linear: Callable[..., torch.Tensor] = _LoraLinear.apply
