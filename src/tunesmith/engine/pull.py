"""Decay towards the weights that a run started from, decoupled from the gradient.

    w ← w − η λ (w − w₀)

before the optimiser moves w, with η the learning rate of the step: L2-SP (Li, Grandvalet and
Davoine 2018, Explicit inductive bias for transfer learning, eq. 2), made as decoupled weight decay
is (Loshchilov and Hutter 2019), so that Adam does not rescale it. All trained weights decay, norms
and biases too: what they were in the base is what they should stay. w₀ has the type of the model's
weights, which it was read in; nothing is lost by that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn


class Pull(NamedTuple):
    """`share` of the way to `start` is gone in a step: η λ, and never beyond."""

    start: torch.Tensor
    share: float

    def move(self, weight: torch.Tensor, rows: slice = slice(None)) -> None:
        """Move float32 `weight`, which stands for these rows of `start`."""
        weight.lerp_(self.start[rows].float(), self.share)

    def shaped_as(self, other: torch.Tensor) -> Pull:
        """The same for weights laid out as `other`."""
        return self._replace(start=self.start.view_as(other))


class Pulls:
    """The pull of each weight of a run, if there is any."""

    def __init__(self, decay: float, starts: Mapping[nn.Parameter, torch.Tensor]) -> None:
        self._decay = decay
        self._starts = starts
        self._share = 0.0

    def begin(self, rate: float) -> None:
        """A step with this learning rate begins."""
        self._share = min(1.0, rate * self._decay)

    def of(self, weight: nn.Parameter) -> Pull | None:
        """None where nothing pulls."""
        return Pull(self._starts[weight], self._share) if self._decay else None
