"""Float32 masters of trainable weights, so that bfloat16 never rounds a small update away.

A bfloat16 weight has 8 bits of precision: an update smaller than 1/256 of the weight is lost. The
model computes with its bfloat16 weights; gradients are added up, and updates made, in float32 here,
and the result is copied back after each step (mixed precision, Micikevicius et al. 2018, §3.1).
For a float32 model a weight is its own master and nothing is copied.

The gradient of a first micro-batch stays in the type that it came in: where no second one is added
to it, float32 would be twice the memory for the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import torch
from torch import nn

PORTION = 1 << 24
"""Weights updated at a time: their float32 gradients are all that an update adds to memory."""


class Masters:
    """The trainable parameters of a model by name, in float32, and the gradients of a step."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]]) -> None:
        self._working = {name: weight for name, weight in named if weight.requires_grad}
        self._arrived: dict[str, torch.Tensor] = {}
        self.weights: dict[str, nn.Parameter] = {}
        for name, weight in self._working.items():
            if weight.dtype == torch.float32:
                self.weights[name] = weight
            else:
                self.weights[name] = nn.Parameter(weight.detach().float().clone())
                weight.register_post_accumulate_grad_hook(partial(self._take, name))

    def gradients(self) -> dict[str, torch.Tensor]:
        """The gradients added up so far: in float32, or as the only one came."""
        own = {name: w.grad for name, w in self._working.items() if w.grad is not None}
        return {**own, **self._arrived}

    def updating(self, scale: float) -> Iterator[list[str]]:
        """Yields the names of a portion of the weights, whose masters hold gradients · `scale`.

        When the caller comes back, that portion goes into the model and its gradients are dropped.
        """
        gradients = self.gradients()
        self.drop_gradients()
        for names in _portions(gradients):
            for name in names:
                self.weights[name].grad = gradients.pop(name).float().mul_(scale)
            yield names
            for name in names:
                self.weights[name].grad = None
                self._publish(name)

    def gradients_of(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Those that the masters of these names hold now, while they are being updated."""
        found = {name: self.weights[name].grad for name in names}
        return {name: gradient for name, gradient in found.items() if gradient is not None}

    def publish(self) -> None:
        """Copy all masters into the model's weights."""
        for name in self.weights:
            self._publish(name)

    def drop_gradients(self) -> None:
        """Forget the gradients of the step, and any that did not arrive whole."""
        self._arrived.clear()
        for weight in self._working.values():
            weight.grad = None

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Set the masters, and the model's weights, to saved values.

        Raises KeyError if the names differ: a slip of ours, since a recipe fixes them.
        """
        if tensors.keys() != self.weights.keys():
            raise KeyError(f"saved weights differ in name: {tensors.keys() ^ self.weights.keys()}")
        for name, tensor in tensors.items():
            with torch.no_grad():
                self.weights[name].copy_(tensor)
            self._publish(name)

    def _take(self, name: str, weight: torch.Tensor) -> None:
        """The gradient of one micro-batch is whole: add it to those before."""
        gradient, weight.grad = weight.grad, None
        assert gradient is not None
        before = self._arrived.get(name)
        self._arrived[name] = gradient if before is None else before.float().add_(gradient)

    @torch.no_grad()
    def _publish(self, name: str) -> None:
        """Copy a master into the model's weight."""
        if self._working[name] is not self.weights[name]:
            self._working[name].copy_(self.weights[name])


def _portions(gradients: Mapping[str, torch.Tensor]) -> list[list[str]]:
    """Names by as many as hold PORTION numbers, or one that holds more."""
    portions: list[list[str]] = []
    size = PORTION
    for name, gradient in gradients.items():
        if size + gradient.numel() > PORTION:
            portions.append([])
            size = 0
        portions[-1].append(name)
        size += gradient.numel()
    return portions
