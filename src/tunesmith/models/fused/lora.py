"""A LoRA linear layer as one autograd function, put in through PEFT's custom modules.

    y = x Wᵀ + b + s (x Aᵀ) Bᵀ            (Hu et al. 2022, eq. 3), W and b frozen

    dx = g W + s (g B) A        dB = s gᵀ (x Aᵀ)        dA = s (g B)ᵀ x

The products of rank r are added into the large ones where they lie; nothing of the size of y or x
is copied, scaled or cast, and only x and x Aᵀ are kept. Adapters are saved in PEFT's format, since
the layer is PEFT's own but for its forward.

Shape legend: N tokens, I inputs, O outputs, r rank.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import Linear
from torch import nn
from torch.nn.functional import linear


class FusedLora(Linear):
    """PEFT's LoRA layer over `nn.Linear`, computed as above where one plain adapter is active.

    In every other state (merged, disabled, several adapters, dropout in training, a variant such as
    DoRA, autocast) it is PEFT's own.
    """

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """(..., I) to (..., O)."""
        name = self._plain_adapter(x)
        if name is None or args or kwargs:
            result: torch.Tensor = super().forward(x, *args, **kwargs)
            return result
        base = self.get_base_layer()
        return _lora_linear(
            x,
            base.weight,
            base.bias,
            self.lora_A[name].weight,
            self.lora_B[name].weight,
            self.scaling[name],
        )

    def _plain_adapter(self, x: torch.Tensor) -> str | None:
        """The one active adapter, if the function above is what PEFT would compute with it."""
        if self.merged or self.disable_adapters or len(self.active_adapters) != 1:
            return None
        name = self.active_adapters[0]
        if name not in self.lora_A or name in self.lora_variant:
            return None
        down, up = self.lora_A[name], self.lora_B[name]
        base = self.get_base_layer()
        plain = (
            type(base) is nn.Linear
            and not base.weight.requires_grad
            and (base.bias is None or not base.bias.requires_grad)
            and x.dtype == base.weight.dtype == down.weight.dtype == up.weight.dtype
            and up.bias is None
            and down.bias is None
            and not torch.is_autocast_enabled(x.device.type)
        )
        dropout = self.lora_dropout[name]
        at_rest = isinstance(dropout, nn.Identity) or not dropout.training
        return name if plain and at_rest else None


def fuse_lora(config: LoraConfig, model: nn.Module) -> None:
    """Have PEFT make the adapters of linear layers `FusedLora`.

    A model with layers that only derive from `nn.Linear` (quantised ones) keeps PEFT's own choice.
    """
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if all(type(module) is nn.Linear for module in linears):
        config._register_custom_module({nn.Linear: FusedLora})


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight_OI: torch.Tensor,
        bias_O: torch.Tensor | None,
        down_rI: torch.Tensor,
        up_Or: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        x_NI = x.reshape(-1, x.shape[-1])
        low_Nr = x_NI @ down_rI.t()
        y_NO = linear(x_NI, weight_OI, bias_O).addmm_(low_Nr, up_Or.t(), alpha=scaling)
        ctx.save_for_backward(x_NI, low_Nr, weight_OI, down_rI, up_Or)
        ctx.scaling, ctx.shape = scaling, x.shape
        return y_NO.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_NI, low_Nr, weight_OI, down_rI, up_Or = ctx.saved_tensors
        grad_NO = grad.reshape(-1, grad.shape[-1])
        d_low_Nr = (grad_NO @ up_Or).mul_(ctx.scaling)
        d_x = d_down = d_up = None
        if ctx.needs_input_grad[0]:
            d_x = (grad_NO @ weight_OI).addmm_(d_low_Nr, down_rI).view(ctx.shape)
        if ctx.needs_input_grad[3]:
            d_down = d_low_Nr.t() @ x_NI
        if ctx.needs_input_grad[4]:
            d_up = (grad_NO.t() @ low_Nr).mul_(ctx.scaling)
        return d_x, None, None, d_down, d_up, None


_lora_linear: Callable[..., torch.Tensor] = _LoraLinear.apply
