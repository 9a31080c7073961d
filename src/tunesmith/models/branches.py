"""Answers that are written to prompts: what attention keeps of both, and looks back at.

Each prompt is a segment, and its answers are branches below it, as in a packed batch. The keys and
values of a prompt are kept once, however many answers it has: queries of all its answers are
multiplied with them in one product (as Juravsky et al. 2024, Hydragen, §3.1). Those of an answer's
own tokens are written in place, and where there is no more room it is doubled.

    scores = scale · [Q Kᵀ of the prompt | Q Kᵀ of the answer] + mask        O = softmax(scores) V

Scores are float32 whatever the dtype, as in training (`segment_attention`), so keys are kept so.

Shape legend: P prompts, R answers (rows, those of a prompt side by side), L tokens of the longest
prompt, C tokens that there is room for in an answer, S those of them that are looked at; G
key-value heads, H query heads, Q = H / G, d head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import pad

from tunesmith.core.errors import Unsupported

_SIZES = 32
"""L and S are multiples of this: libraries make code, and keep it, for every size they meet."""

_HIDDEN = -1e30
"""Added to a score that may not be seen."""

_UNWRITTEN = 1 << 40
"""The position of a key that is only padding: later than any query's."""


@dataclass(slots=True)
class _Kept:
    """Of one layer: keys (float32) and values of prompts (P, G, L, d) and answers (R, G, C, d)."""

    prompt_keys: torch.Tensor
    prompt_values: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor


class Branches:
    """What all attention layers of a model keep. Passed to its forward as `segment_branches`.

    First with the layout of the prompts, one segment each; then, with one token for each answer,
    as often as `advance` is called.
    """

    def __init__(self, lengths: Sequence[int], owner_R: torch.Tensor) -> None:
        """`owner_R` says which prompt each answer belongs to, in ascending order."""
        self._lengths = list(lengths)
        self._longest = _evened(max(lengths))
        self._room = _SIZES
        self._layers: dict[nn.Module, _Kept] = {}
        self._step = -1
        self._masks: dict[int | None, torch.Tensor] = {}
        self._seat(owner_R)

    def remember(self, layer: nn.Module, key: torch.Tensor, value: torch.Tensor) -> None:
        """Keep what `layer` makes of the prompts: (1, G, T, d), one behind the other in T.

        Raises Unsupported for a layer that a model goes through twice.
        """
        if layer in self._layers:
            raise Unsupported(
                f"A layer of this model ({type(layer).__name__}) is gone through twice, so its "
                "answers cannot be drawn here. Choose another model.base."
            )
        prompts, rows = len(self._lengths), len(self._owner_R)
        groups, width = key.shape[1], key.shape[3]
        kept = _Kept(
            key.new_zeros(prompts, groups, self._longest, width, dtype=torch.float32),
            value.new_zeros(prompts, groups, self._longest, value.shape[3]),
            key.new_zeros(rows, groups, self._room, width, dtype=torch.float32),
            value.new_zeros(rows, groups, self._room, value.shape[3]),
        )
        start = 0
        for place, length in enumerate(self._lengths):
            kept.prompt_keys[place, :, :length] = key[0, :, start : start + length]
            kept.prompt_values[place, :, :length] = value[0, :, start : start + length]
            start += length
        self._layers[layer] = kept

    def advance(self) -> torch.Tensor:
        """Make place for the next token of each answer; returns their positions, shape (R)."""
        self._step += 1
        self._masks = {}
        if self._step == self._room:
            for kept in self._layers.values():
                kept.keys = pad(kept.keys, (0, 0, 0, self._room))
                kept.values = pad(kept.values, (0, 0, 0, self._room))
            self._room *= 2
            self._positions = self._places_of_keys()
        return self._lengths_R + self._step

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
        """Attention of the newest token of each answer: (1, H, R, d) to (1, R, H, d)."""
        kept, seen = self._layers[layer], _evened(self._step + 1)
        rows, groups, width = query.shape[2], key.shape[1], key.shape[3]
        kept.keys[:, :, self._step] = key[0].transpose(0, 1)
        kept.values[:, :, self._step] = value[0].transpose(0, 1)
        query_RGQd = query[0].transpose(0, 1).float().mul(scale).view(rows, groups, -1, width)
        scores = self._scores(query_RGQd, kept, seen)
        if softcap is not None:
            scores.div_(softcap).tanh_().mul_(softcap)
        weights = torch.softmax(scores.add_(self._mask(window, seen)), -1).to(value.dtype)
        out = self._times_prompts(weights[..., : self._longest], kept.prompt_values)
        out += torch.matmul(weights[..., self._longest :], kept.values[:, :, :seen])
        return out.reshape(1, rows, query.shape[1], value.shape[3])

    def _scores(self, query_RGQd: torch.Tensor, kept: _Kept, seen: int) -> torch.Tensor:
        """Of the prompt's keys and the answer's own, before any mask: (R, G, Q, L + S)."""
        prompt = self._times_prompts(query_RGQd, kept.prompt_keys.transpose(2, 3))
        own = torch.matmul(query_RGQd, kept.keys[:, :, :seen].transpose(2, 3))
        return torch.cat([prompt, own], dim=-1)

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these answers alone, ascending indices into the present ones; a prompt with no
        answer left is dropped with them."""
        owner_R = self._owner_R[rows]
        prompts, owner_R = torch.unique(owner_R, return_inverse=True)
        fewer = len(prompts) < len(self._lengths)
        self._lengths = [self._lengths[place] for place in prompts.tolist()]
        for kept in self._layers.values():
            kept.keys, kept.values = kept.keys[rows], kept.values[rows]
            if fewer:
                kept.prompt_keys = kept.prompt_keys[prompts]
                kept.prompt_values = kept.prompt_values[prompts]
        self._seat(owner_R)

    def _seat(self, owner_R: torch.Tensor) -> None:
        """Number the answers of each prompt: the place of each in a grid of prompts and answers."""
        self._owner_R = owner_R
        counts = torch.bincount(owner_R, minlength=len(self._lengths))
        first = counts.cumsum(0) - counts
        self._most = int(counts.max())
        rank_R = torch.arange(len(owner_R), device=owner_R.device) - first[owner_R]
        self._place_R = owner_R * self._most + rank_R
        self._full = len(owner_R) == self._most * len(self._lengths)
        self._lengths_R = torch.tensor(self._lengths, device=owner_R.device)[owner_R]
        self._positions = self._places_of_keys()

    def _times_prompts(self, rows_RGQx: torch.Tensor, kept_PGxy: torch.Tensor) -> torch.Tensor:
        """Each row times what is kept of its prompt, shape (R, G, Q, y)."""
        prompts, groups = kept_PGxy.shape[:2]
        queries = rows_RGQx.shape[2]
        grid = rows_RGQx
        if not self._full:
            grid = rows_RGQx.new_zeros(prompts * self._most, *rows_RGQx.shape[1:])
            grid.index_copy_(0, self._place_R, rows_RGQx)
        grid = grid.view(prompts, self._most, groups, queries, -1).transpose(1, 2)
        product = torch.matmul(grid.reshape(prompts, groups, self._most * queries, -1), kept_PGxy)
        product = product.view(prompts, groups, self._most, queries, -1).transpose(1, 2)
        product = product.reshape(prompts * self._most, groups, queries, -1)
        return product if self._full else product[self._place_R]

    def _mask(self, window: int | None, seen: int) -> torch.Tensor:
        """0 for a key that is seen, `_HIDDEN` for any other, shape (R, 1, 1, L + S)."""
        if window not in self._masks:
            keys = self._positions[:, : self._longest + seen]
            now = self._lengths_R[:, None] + self._step
            unseen = keys > now
            if window is not None:
                unseen |= keys <= now - window
            mask = torch.zeros(keys.shape, device=keys.device).masked_fill_(unseen, _HIDDEN)
            self._masks[window] = mask[:, None, None]
        return self._masks[window]

    def _places_of_keys(self) -> torch.Tensor:
        """The position of each key in its row's path, shape (R, L + C)."""
        device = self._lengths_R.device
        prompt = torch.arange(self._longest, device=device)
        lengths = self._lengths_R[:, None]
        prompt = prompt.expand(len(lengths), -1).masked_fill(prompt >= lengths, _UNWRITTEN)
        return torch.cat([prompt, lengths + torch.arange(self._room, device=device)], dim=1)


def _evened(size: int) -> int:
    return -(-size // _SIZES) * _SIZES
