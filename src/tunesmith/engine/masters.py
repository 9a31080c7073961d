"""Float32 masters of trainable weights, so that bfloat16 never rounds a small update away.

A bfloat16 weight has 8 bits of precision: an update smaller than 1/256 of the weight is lost. The
model computes with its bfloat16 weights; gradients are added up, and updates made, in float32 here,
and the result is copied back after each step (mixed precision, Micikevicius et al. 2018, §3.1).
For a float32 model a weight is its own master and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn


class Masters:
    """The trainable parameters of a model by name, in float32."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]]) -> None:
        self._working = {name: weight for name, weight in named if weight.requires_grad}
        self.weights: dict[str, nn.Parameter] = {}
        for name, weight in self._working.items():
            self.weights[name] = weight if weight.dtype == torch.float32 else _master_of(weight)

    def publish(self) -> None:
        """Copy the masters into the model's weights."""
        with torch.no_grad():
            for name, master in self.weights.items():
                if self._working[name] is not master:
                    self._working[name].copy_(master)

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Set the masters, and the model's weights, to saved values.

        Raises KeyError if the names differ: a slip of ours, since a recipe fixes them.
        """
        if tensors.keys() != self.weights.keys():
            raise KeyError(f"saved weights differ in name: {tensors.keys() ^ self.weights.keys()}")
        with torch.no_grad():
            for name, tensor in tensors.items():
                self.weights[name].copy_(tensor)
        self.publish()


def _master_of(weight: nn.Parameter) -> nn.Parameter:
    master = nn.Parameter(weight.detach().float().clone())

    def add_up(changed: torch.Tensor) -> None:
        gradient = changed.grad
        assert gradient is not None
        master.grad = gradient.float() if master.grad is None else master.grad.add_(gradient)
        changed.grad = None

    weight.register_post_accumulate_grad_hook(add_up)
    return master
