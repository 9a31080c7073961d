"""Attention over segments as a few matrix products: the kernel for CPUs.

    P = softmax(scale · Q Kᵀ + mask)        O = P V
    dV = Pᵀ dO      dS = P ∘ (dO Vᵀ − rowsum(dO ∘ O))      dQ = scale · dS K      dK = scale · dSᵀ Q

(Vaswani et al. 2017, eq. 1; its gradient as in Dao et al. 2022, appendix B.) A block of query rows
sees all of its keys at once: those of its segment's ancestors and its own up to itself. Scores are
float32 whatever the dtype. A block's probabilities are kept for the backward pass where that is
small, and made again where it is not.

Rows and keys are padded with zeros to multiples of 32: oneDNN makes code, and keeps it, for every
size of a bfloat16 product that it meets. A row of padding has no gradient, and no row sees a key of
padding, so nothing else changes.

Why not PyTorch's own kernel: on a CPU its backward pass takes five times as long for segments of a
few hundred tokens, and it knows no ancestors.

Shape legend: H query heads, G key-value heads, R = H / G queries to a key, T tokens, d head size,
n rows of a block, m its keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from tunesmith.core.batch import Segment, path

_BLOCK_BYTES = 32 << 20
_MOST_ROWS = 256
_KEPT_KEYS = 256
"""Probabilities of blocks with at most so many keys are kept: no more bytes than the rest of a
layer keeps for the backward pass, and 3 % of its time."""

_SIZES = 32
"""Rows and keys are padded to a multiple of this."""

_HIDDEN = -1e30
"""Added to a score that may not be seen. Not −inf: a row of padding may see nothing, and would come
out as NaN."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows `start` to `end` of T, and the spans of T they may see.

    A `causal` block's last span ends at `end`; of its last `end - start` keys, row i sees the first
    i + 1. The rows of any other see all of its keys.
    """

    start: int
    end: int
    spans: tuple[Span, ...]
    causal: bool = True

    @property
    def rows(self) -> int:
        """n."""
        return self.end - self.start

    @property
    def keys(self) -> int:
        """m."""
        return sum(end - start for start, end in self.spans)


def blocks_of(segments: Sequence[Segment], heads: int, causal: bool = True) -> list[Block]:
    """The segments cut into blocks whose float32 scores stay within 32 MB (one row at least)."""
    places = range(len(segments))
    return [block for index in places for block in _cut(segments, index, heads, causal)]


def _cut(segments: Sequence[Segment], index: int, heads: int, causal: bool) -> Iterator[Block]:
    *ancestors, segment = path(segments, index)
    above = tuple((ancestor.start, ancestor.end) for ancestor in ancestors)
    most_keys = segment.end - segment.start + sum(end - start for start, end in above)
    rows = max(1, min(_MOST_ROWS, _BLOCK_BYTES // (4 * heads * most_keys)))
    for start in range(segment.start, segment.end, rows):
        end = min(start + rows, segment.end)
        last = end if causal else segment.end
        yield Block(start, end, (*above, (segment.start, last)), causal)


def blocks_behind(known: int, tokens: int, heads: int) -> list[Block]:
    """The next `tokens` of one path, whose queries stand alone and whose keys stand behind those of
    the `known` tokens before them, cut as in `blocks_of`."""
    rows = max(1, min(_MOST_ROWS, _BLOCK_BYTES // (4 * heads * (known + tokens))))
    starts = range(0, tokens, rows)
    ends = [min(start + rows, tokens) for start in starts]
    return [Block(start, end, ((0, known + end),)) for start, end in zip(starts, ends, strict=True)]


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    blocks: Sequence[Block],
    scale: float,
    window: int | None = None,
    softcap: float | None = None,
) -> torch.Tensor:
    """Attention of each block's rows to its keys.

    Args:
        query: (1, H, T, d); `key` and `value`: (1, G, T, d).
        blocks: cover T; see `blocks_of`.
        scale: factor of the scores.
        window: a row sees at most so many tokens of its path, itself included.
        softcap: scores s become c · tanh(s / c).

    Returns (1, T, H, d).
    """
    return _attention(query, key, value, blocks, scale, window, softcap)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        blocks: Sequence[Block],
        scale: float,
        window: int | None,
        softcap: float | None,
    ) -> torch.Tensor:
        out = query.new_empty(1, query.shape[2], query.shape[1], value.shape[3])
        rules = _Rules(scale, window, softcap)
        kept: list[torch.Tensor | None] = []
        keep = any(ctx.needs_input_grad) and softcap is None
        for block in blocks:
            scores = rules.scores(query, key, block)
            weights = torch.softmax(scores, -1).to(query.dtype)
            _set_rows(out, block, torch.bmm(weights, _keys(value, block)))
            kept.append(weights if keep and block.keys <= _KEPT_KEYS else None)
        ctx.save_for_backward(query, key, value, *kept)
        ctx.blocks, ctx.rules = blocks, rules
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, *kept = ctx.saved_tensors
        groups, rules = key.shape[1], ctx.rules
        grad = grad.transpose(1, 2)
        d_query, d_key, d_value = _like(query, query.dtype), _zeros(key), _zeros(value)
        for block, saved in zip(ctx.blocks, kept, strict=True):
            weights = saved
            rows, keys, values = _rows(query, block, groups), _keys(key, block), _keys(value, block)
            slope = None
            if weights is None:
                scores = rules.scores(query, key, block)
                weights, slope = torch.softmax(scores, -1).to(query.dtype), rules.slope(scores)
            d_rows = _rows(grad, block, groups)
            _add_keys(d_value, block, torch.bmm(weights.transpose(1, 2), d_rows))
            d_scores = torch.bmm(d_rows, values.transpose(1, 2))
            d_scores = torch._softmax_backward_data(d_scores, weights, -1, weights.dtype)
            if slope is not None:
                d_scores = (d_scores * slope).to(d_scores.dtype)
            _set_rows(d_query.transpose(1, 2), block, torch.bmm(d_scores, keys))
            _add_keys(d_key, block, torch.bmm(d_scores.transpose(1, 2), rows))
        d_query, d_key = d_query.mul_(rules.scale), d_key.mul_(rules.scale)
        return d_query, d_key.to(key.dtype), d_value.to(value.dtype), None, None, None, None


_attention: Callable[..., torch.Tensor] = _Attention.apply


@dataclass(frozen=True, slots=True)
class _Rules:
    """How scores are made of queries and keys."""

    scale: float
    window: int | None
    softcap: float | None

    def scores(self, query: torch.Tensor, key: torch.Tensor, block: Block) -> torch.Tensor:
        """Masked scores in float32, (G, R n, m)."""
        rows = _rows(query, block, key.shape[1], torch.float32)
        keys = _keys(key, block, torch.float32).mul_(self.scale)
        scores = torch.bmm(rows, keys.transpose(1, 2))
        if self.softcap is not None:
            scores.div_(self.softcap).tanh_().mul_(self.softcap)
        if not block.causal:
            scores[..., block.keys :] = _HIDDEN
            return scores
        first = block.keys - block.rows
        unseen = _unseen(
            _padded(block.rows), _padded(block.keys) - first, first, self.window, scores.device
        )
        by_head = scores.view(len(scores), -1, _padded(block.rows), scores.shape[2])
        by_head[..., scores.shape[2] - unseen.shape[1] :] += unseen
        return scores

    def slope(self, scores: torch.Tensor) -> torch.Tensor | None:
        """The derivative of the soft cap where the capped scores are `scores`; None without one."""
        if self.softcap is None:
            return None
        capped = scores.masked_fill(scores <= _HIDDEN / 2, 0.0)
        return 1 - (capped / self.softcap) ** 2


def _padded(size: int) -> int:
    return -(-size // _SIZES) * _SIZES


@lru_cache(maxsize=64)
def _unseen(
    rows: int, columns: int, first: int, window: int | None, device: torch.device
) -> torch.Tensor:
    """`_HIDDEN` where a row may not look, 0 elsewhere.

    Row i stands at place `first` + i of its path. The mask covers the places from `first` on,
    (rows, columns); with a window all of them, (rows, first + columns).
    """
    if window is None:
        return torch.full((rows, columns), _HIDDEN, device=device).triu_(1)
    mask = torch.full((rows, first + columns), _HIDDEN, device=device).triu_(first + 1)
    far = torch.ones_like(mask, dtype=torch.bool).tril_(first - window)
    return mask.masked_fill_(far, _HIDDEN)


def _rows(
    states: torch.Tensor, block: Block, groups: int, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """(1, H, T, d) to (G, R n, d), n padded: the queries of a key-value head under one another."""
    _, heads, _, size = states.shape
    rows = states.new_empty(heads, _padded(block.rows), size, dtype=dtype)
    rows[:, : block.rows] = states[0, :, block.start : block.end]
    rows[:, block.rows :] = 0
    return rows.view(groups, -1, size)


def _set_rows(out: torch.Tensor, block: Block, rows: torch.Tensor) -> None:
    """Undo `_rows`: (G, R n, d) into rows of (1, T, H, d)."""
    by_head = rows.view(out.shape[2], -1, out.shape[3])
    out[0, block.start : block.end] = by_head[:, : block.rows].transpose(0, 1)


def _keys(states: torch.Tensor, block: Block, dtype: torch.dtype | None = None) -> torch.Tensor:
    """(1, G, T, d) to (G, m, d), m padded."""
    keys = states.new_empty(states.shape[1], _padded(block.keys), states.shape[3], dtype=dtype)
    keys[:, block.keys :] = 0
    at = 0
    for start, end in block.spans:
        keys[:, at : at + end - start] = states[0, :, start:end]
        at += end - start
    return keys


def _add_keys(total: torch.Tensor, block: Block, keys: torch.Tensor) -> None:
    """Add (G, m, d) to where `_keys` took it from."""
    at = 0
    for start, end in block.spans:
        total[0, :, start:end] += keys[:, at : at + end - start]
        at += end - start


def _like(states: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(1, H, T, d) in memory as (1, T, H, d), which is how the layer below reads it."""
    _, heads, length, size = states.shape
    return states.new_empty(1, length, heads, size, dtype=dtype).transpose(1, 2)


def _zeros(states: torch.Tensor) -> torch.Tensor:
    """Float32, for many blocks add to one key."""
    return _like(states, torch.float32).zero_()
