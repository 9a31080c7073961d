"""A library's optimiser for each weight by itself, with state that is nothing but tensors.

Libraries count steps, and keep sums, by the group of weights. Here weights are updated a portion at
a time (`masters`), or one by one inside the backward pass (`updates`), so each has a group of its
own. What the library keeps as numbers or objects becomes tensors, so that checkpoints hold no
pickle; before every step the library's state is made from those tensors and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn
from torch.optim import Optimizer

from tunesmith.engine.factored import join, part
from tunesmith.engine.pull import Pull
from tunesmith.engine.weight_by_weight import NotFinite, WeightByWeight

Make = Callable[[nn.Parameter, torch.Size, float], Optimizer]
_GROUP = "group."
_PROJECTION, _PROJECTED_AT = "projection", "projected_at"


@runtime_checkable
class Projector(Protocol):
    """What GaLore keeps of a weight beside tensors."""

    ortho_matrix: torch.Tensor | None
    last_svd_step: int


class EachWeight(WeightByWeight):
    """`make(weight, shape, decay)` is called once a weight; `counts` are numbers of its group.

    Groups have `lr` and `weight_decay`. A bfloat16 weight is updated as the float32 one whose
    missing 16 bits its state holds.
    """

    def __init__(
        self, groups: list[dict[str, Any]], make: Make, counts: tuple[str, ...] = ()
    ) -> None:
        super().__init__(groups)
        self._counts = counts
        self._exact = {weight: _exact(weight) for weight in self._group_of}
        self._own = {
            weight: make(self._exact[weight], weight.shape, group["weight_decay"])
            for weight, group in self._group_of.items()
        }

    @torch.no_grad()
    def update(
        self,
        weight: nn.Parameter,
        gradient: torch.Tensor,
        scale: float = 1.0,
        clip: float = math.inf,
        pull: Pull | None = None,
    ) -> float:
        """See `WeightByWeight`."""
        norm = scale * float(torch.linalg.vector_norm(gradient, dtype=torch.float32))
        if not math.isfinite(norm):
            raise NotFinite(norm)
        self._step(weight, gradient.float() * (scale * min(1.0, clip / (norm + 1e-6))), pull)
        return norm

    def _step(self, weight: nn.Parameter, gradient: torch.Tensor, pull: Pull | None = None) -> None:
        exact, own = self._exact[weight], self._own[weight]
        before, low = weight.grad, None
        if exact is not weight:
            low = self.state[weight].get("low")
            low = torch.zeros_like(weight, dtype=torch.int16) if low is None else low
            exact.data = join(weight.detach(), low)
        if pull is not None:
            pull.move(exact.data)
        exact.grad = gradient
        own.param_groups[0]["lr"] = self._group_of[weight]["lr"]
        self._give(own, exact, self.state[weight])
        own.step()
        self.state[weight] = self._taken(own, exact)
        exact.grad = None
        if low is not None:
            part(exact.data, weight.detach(), low)
            self.state[weight]["low"] = low
            exact.data = exact.new_empty(0)
        weight.grad = before

    def _give(self, own: Optimizer, exact: nn.Parameter, saved: dict[str, torch.Tensor]) -> None:
        """Make the library's state of `saved`; an empty one lets it begin."""
        state = own.state[exact]
        for name, value in saved.items():
            if name.startswith(_GROUP):
                own.param_groups[0][name.removeprefix(_GROUP)] = value.item()
            elif name == _PROJECTION:
                state["projector"].ortho_matrix = value
            elif name == _PROJECTED_AT:
                state["projector"].last_svd_step = int(value)
            elif name != "low":
                state[name] = value.item() if _is_number(value) else value

    def _taken(self, own: Optimizer, exact: nn.Parameter) -> dict[str, torch.Tensor]:
        """The library's state after a step, as tensors."""
        taken = {}
        for name, value in own.state[exact].items():
            if isinstance(value, Projector):
                assert value.ortho_matrix is not None
                # Laid out as a checkpoint gives it back: products depend on it to the last bit.
                taken[_PROJECTION] = value.ortho_matrix.contiguous()
                taken[_PROJECTED_AT] = _number(value.last_svd_step)
            else:
                taken[name] = value if isinstance(value, torch.Tensor) else _number(value)
        group = own.param_groups[0]
        return taken | {f"{_GROUP}{name}": _number(group[name]) for name in self._counts}


class ScheduleFree(EachWeight):
    """Schedule-free rules: gradients are taken at y, between the average x and the iterate z.

    The weights are y throughout; x is what is to be judged and kept (Defazio et al. 2024, eq. 2 to
    4). The library makes x of y and z in place, and y again of x, which rounds: who wants to train
    on keeps a copy of y.
    """

    def average(self) -> None:
        """Turn the weights from y into x."""
        for weight, own in self._own.items():
            self._give(own, self._exact[weight], self.state[weight])
            own.eval()  # type: ignore[attr-defined]

    def go_on(self) -> None:
        """The weights are y again, put back by the caller."""
        for own in self._own.values():
            own.param_groups[0]["train_mode"] = True


def _exact(weight: nn.Parameter) -> nn.Parameter:
    """The weight itself in float32; for bfloat16 an empty one that a step fills."""
    if weight.dtype == torch.float32:
        return weight
    return nn.Parameter(weight.new_empty(0, dtype=torch.float32))


def _number(value: float) -> torch.Tensor:
    """A Python number, exactly."""
    kind = torch.int64 if isinstance(value, int) else torch.float64
    return torch.tensor(value, dtype=kind)


def _is_number(value: torch.Tensor) -> bool:
    return value.ndim == 0 and value.dtype in (torch.int64, torch.float64)
