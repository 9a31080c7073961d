"""What optimisers have in common that can update each weight by itself, as its gradient arrives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from tunesmith.engine.pull import Pull


class NotFinite(ArithmeticError):
    """A gradient holds NaN or infinity; `norm` is what its norm came to."""

    def __init__(self, norm: float) -> None:
        super().__init__(f"the norm of a gradient is {norm}")
        self.norm = norm


class WeightByWeight(Optimizer):
    """Groups have `lr` and `weight_decay`. A rule fills in `update`, and `_step` if it differs."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})
        self.regroup()

    def regroup(self) -> None:
        """Read again which group each weight is in: `param_groups` were made anew."""
        self._group_of = {w: group for group in self.param_groups for w in group["params"]}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        for weight in self._group_of:
            if weight.grad is not None:
                self._step(weight, weight.grad)

    def update(
        self,
        weight: nn.Parameter,
        gradient: torch.Tensor,
        scale: float = 1.0,
        clip: float = math.inf,
        pull: Pull | None = None,
    ) -> float:
        """Update one weight by `gradient` · `scale`, shortened to `clip`; returns its norm before.
        `pull` moves it first.

        `gradient` has the shape of `weight` and any floating type. Raises NotFinite before anything
        is changed.
        """
        raise NotImplementedError

    def _step(self, weight: nn.Parameter, gradient: torch.Tensor, pull: Pull | None = None) -> None:
        """Update one weight by `gradient` as it is; `pull` moves it first."""
        self.update(weight, gradient, pull=pull)
