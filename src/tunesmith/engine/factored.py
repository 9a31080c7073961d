"""AdamW in a quarter of its memory: a factored second moment, momentum and weights in bfloat16.

    R ← β₂R + (1−β₂) row means of G²        C ← β₂C + (1−β₂) column means of G²
    v_ij = R_i C_j / mean(R)                m ← β₁m + (1−β₁)G
    w ← (1 − η λ) w − η m̂ / (√v̂ + ε)       m̂ = m/(1−β₁ᵗ),  v̂ = v/(1−β₂ᵗ)

The factored v is Adafactor's (Shazeer and Stern 2018, algorithm 4); with a momentum in bfloat16 it
learns as Adam does (Zhai et al. 2022, Scaling Vision Transformers, §3.5). A bfloat16 weight keeps
the 16 bits that it lacks of a float32 one in the optimiser's state, so no small update is lost.
A vector keeps its whole second moment.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import nn

from tunesmith.engine.pull import Pull
from tunesmith.engine.weight_by_weight import NotFinite, WeightByWeight

BETAS, EPSILON = (0.9, 0.95), 1e-8
# Numbers worked on at a time: in float32 they stay within a processor's L2 cache.
_BLOCK = 1 << 16


class FactoredAdamW(WeightByWeight):
    """See the head of this file. Groups have `lr` and `weight_decay`."""

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
        rows = 1 if weight.ndim < 2 else weight.shape[0]
        gradient_RC = gradient.reshape(rows, -1)
        squares = _squares(gradient_RC) if weight.ndim >= 2 else (gradient_RC.float() ** 2,)
        norm = scale * math.sqrt(
            float(squares[0].sum()) * (gradient_RC.numel() / squares[0].numel())
        )
        if not math.isfinite(norm):
            raise NotFinite(norm)
        scale *= min(1.0, clip / (norm + 1e-6))
        state = self.state[weight] or self._begin(weight, squares)
        state["step"] += 1
        for name, square in zip(_MOMENTS[len(squares)], squares, strict=True):
            state[name].lerp_(square.mul_(scale * scale), 1 - BETAS[1])
        self._apply(weight, gradient_RC, scale, state, pull)
        return norm

    def _begin(
        self, weight: nn.Parameter, squares: tuple[torch.Tensor, ...]
    ) -> dict[str, torch.Tensor]:
        state = self.state[weight]
        state["step"] = torch.zeros((), dtype=torch.int64)
        state["momentum"] = torch.zeros_like(weight, dtype=torch.bfloat16)
        for name, square in zip(_MOMENTS[len(squares)], squares, strict=True):
            state[name] = torch.zeros_like(square)
        if weight.dtype == torch.bfloat16:
            state["low"] = torch.zeros_like(weight, dtype=torch.int16)
        return state

    def _apply(
        self,
        weight: nn.Parameter,
        gradient_RC: torch.Tensor,
        scale: float,
        state: dict[str, torch.Tensor],
        pull: Pull | None,
    ) -> None:
        group, step = self._group_of[weight], int(state["step"])
        rate = group["lr"] / (1 - BETAS[0] ** step)
        root_R1, root_1C = _roots(state, 1 - BETAS[1] ** step)
        weight_RC = weight.view_as(gradient_RC)
        momentum_RC = state["momentum"].view_as(gradient_RC)
        low_RC = state["low"].view_as(gradient_RC) if "low" in state else None
        pull = pull and pull.shaped_as(gradient_RC)
        for rows in _blocks(gradient_RC):
            momentum = momentum_RC[rows].float()
            momentum.lerp_(gradient_RC[rows].float() * scale, 1 - BETAS[0])
            momentum_RC[rows] = momentum
            low = None if low_RC is None else low_RC[rows]
            value = weight_RC[rows] if low is None else join(weight_RC[rows], low)
            value.mul_(1 - group["lr"] * group["weight_decay"])
            if pull is not None:
                pull.move(value, rows)
            denominator = (root_R1[rows] * root_1C).add_(EPSILON)
            value.addcdiv_(momentum, denominator, value=-rate)
            if low is not None:
                part(value, weight_RC[rows], low)


# The names of the second moment's parts, by how many there are: a vector's, a matrix's.
_MOMENTS = {1: ("square",), 2: ("rows", "columns")}


def join(high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """The float32 number whose bits are 2¹⁶ · `high` (bfloat16) + `low` (int16)."""
    bits = high.view(torch.int16).to(torch.int32).mul_(1 << 16).add_(low)
    return bits.view(torch.float32)


def part(value: torch.Tensor, high: torch.Tensor, low: torch.Tensor) -> None:
    """Write float32 `value` into `high`, the nearest bfloat16 (ties away from zero), and `low`."""
    bits = value.view(torch.int32)
    low.copy_(bits)  # keeps the last 16 bits
    high.view(torch.int16).copy_((bits + (1 << 15)) >> 16)


def _squares(gradient_RC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The means of G² over each row, (R, 1), and over each column, (1, C)."""
    rows_R1 = gradient_RC.new_empty((len(gradient_RC), 1), dtype=torch.float32)
    columns_1C = gradient_RC.new_zeros((1, gradient_RC.shape[1]), dtype=torch.float32)
    for rows in _blocks(gradient_RC):
        square = gradient_RC[rows].float().square()
        rows_R1[rows] = square.mean(1, keepdim=True)
        columns_1C += square.sum(0, keepdim=True)
    return rows_R1, columns_1C.div_(len(gradient_RC))


def _roots(state: dict[str, torch.Tensor], correction: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Two factors of √v̂, (R, 1) and (1, C)."""
    if "square" in state:
        square = state["square"]
        return square.new_ones(1, 1), (square / correction).sqrt_()
    rows_R1, columns_1C = state["rows"], state["columns"]
    mean = rows_R1.mean().clamp_(min=torch.finfo(torch.float32).tiny)
    return (rows_R1 / mean).sqrt_(), (columns_1C / correction).sqrt_()


def _blocks(matrix_RC: torch.Tensor) -> Iterator[slice]:
    """Rows by as many as fit in the cache; an accelerator takes them by the sixteen million."""
    numbers = _BLOCK if matrix_RC.device.type == "cpu" else _BLOCK << 8
    size = max(1, numbers // matrix_RC.shape[1])
    return (slice(start, start + size) for start in range(0, len(matrix_RC), size))
