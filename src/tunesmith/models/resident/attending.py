"""Attention over what is kept: of portions of prompts, and of the newest token of each row.

Both are given to a model's forward as `segment_branches` and called by every attention layer.
Portions go through the kernel of training (`segment_attention`), each over all that is kept of its
row. The newest tokens look back in one product for each shelf:

    O = softmax(scale · Q Kᵀ + mask) V

Shape legend: T tokens, R rows that write, n rows of a shelf, H query heads, G key-value heads,
S tokens that are looked at, d head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tunesmith.models.resident.kept import Form, Kept, Shelf
from tunesmith.models.segment_attention import attend, blocks_behind

_SIZES = 32
"""S is a multiple of this: libraries make code, and keep it, for every size they meet."""

_HIDDEN = -1e30
"""Added to a score that may not be seen."""


@dataclass(frozen=True, slots=True)
class Portion:
    """The next `tokens` of a row, of which `kept` has the first `known` already."""

    kept: Kept
    known: int
    tokens: int


class Reading:
    """Portions laid end to end. What a layer makes of them is kept, and looked at with the rest."""

    def __init__(self, form: Form, portions: Sequence[Portion]) -> None:
        self._form = form
        self._portions = portions

    def attend(
        self,
        layer: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        window: int | None = None,
        softcap: float | None = None,
    ) -> torch.Tensor:
        """(1, H, T, d) to (1, T, H, d); zero behind the last portion."""
        stack, number = self._form.places[layer]
        out = query.new_zeros(1, query.shape[2], query.shape[1], value.shape[3])
        start = 0
        for portion in self._portions:
            end, known, known_then = start + portion.tokens, portion.known, _end(portion)
            keys, values = (each[number] for each in portion.kept.stacks[stack])
            keys[:, :, known:known_then] = key[:, :, start:end]
            values[:, :, known:known_then] = value[:, :, start:end]
            blocks = blocks_behind(known, portion.tokens, query.shape[1])
            seen = (query[:, :, start:end], keys, values)
            near = window if window is not None and known_then > window else None
            out[:, start:end] = attend(*seen, blocks, scale, near, softcap)
            start = end
        return out


def _end(portion: Portion) -> int:
    return portion.known + portion.tokens


class Writing:
    """One token for each row that writes, in the order of `rows`.

    `positions_R` is how many tokens are kept of each: where its newest goes.
    """

    def __init__(self, form: Form, shelves: Sequence[Shelf], rows: Sequence[int]) -> None:
        self._form = form
        place = {row: number for number, row in enumerate(rows)}
        device = form.device
        self._shelves = shelves
        self._orders = [
            torch.tensor([place[row] for row in shelf.rows], device=device) for shelf in shelves
        ]
        # Behind the rows there may be tokens that fill up a batch; they are nobody's.
        self._back_R = torch.argsort(torch.cat(self._orders))
        self._rows = [torch.arange(len(shelf.rows), device=device) for shelf in shelves]

    def at(self, positions_R: torch.Tensor) -> None:
        """The newest tokens are at these positions, once all of a step are known."""
        self._positions = [positions_R[order] for order in self._orders]
        self._seen = [
            min(-(-(int(each.max()) + 1) // _SIZES) * _SIZES, shelf.room)
            for each, shelf in zip(self._positions, self._shelves, strict=True)
        ]
        self._masks: dict[tuple[int, int | None], torch.Tensor] = {}

    def attend(
        self,
        layer: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        window: int | None = None,
        softcap: float | None = None,
    ) -> torch.Tensor:
        """(1, H, R, d) to (1, R, H, d)."""
        stack, number = self._form.places[layer]
        query_RGQd = query[0].transpose(0, 1).float().mul(scale)
        query_RGQd = query_RGQd.unflatten(1, (key.shape[1], -1))
        key_RGd, value_RGd = key[0].transpose(0, 1), value[0].transpose(0, 1)
        made = []
        for place, shelf in enumerate(self._shelves):
            order, at, rows = self._orders[place], self._positions[place], self._rows[place]
            keys, values = (each[number, : len(rows)] for each in shelf.kept.stacks[stack])
            keys[rows, :, at] = key_RGd[order].float()
            values[rows, :, at] = value_RGd[order]
            seen = self._seen[place]
            scores = torch.matmul(query_RGQd[order], keys[:, :, :seen].transpose(2, 3))
            if softcap is not None:
                scores.div_(softcap).tanh_().mul_(softcap)
            weights = torch.softmax(scores.add_(self._mask(place, window)), -1).to(value.dtype)
            made.append(torch.matmul(weights, values[:, :, :seen]))
        out_RGQd = torch.cat(made)[self._back_R]
        out = query.new_zeros(1, query.shape[2], query.shape[1], value.shape[3])
        out[0, : len(out_RGQd)] = out_RGQd.flatten(1, 2)
        return out

    def _mask(self, place: int, window: int | None) -> torch.Tensor:
        """0 for a key that is seen, `_HIDDEN` for any other, shape (n, 1, 1, S)."""
        if (place, window) not in self._masks:
            now = self._positions[place][:, None]
            keys = torch.arange(self._seen[place], device=now.device)
            unseen = keys > now
            if window is not None:
                unseen |= keys <= now - window
            mask = torch.zeros(unseen.shape, device=now.device).masked_fill_(unseen, _HIDDEN)
            self._masks[place, window] = mask[:, None, None]
        return self._masks[place, window]
