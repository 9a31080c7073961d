"""Attention inside segments, through transformers' own extension point.

`AttentionInterface` lets a model call our function for every attention layer, and hands it the
keyword arguments given to the model's forward. We pass the batch's layout that way, so packing
needs no edited model code and no (T, T) mask: each segment is one call of PyTorch's fused kernel.

Without a layout (ordinary generation with a cache) attention and mask are those of `sdpa`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tunesmith.core.batch import ROOT, Segment
from tunesmith.core.errors import Unsupported

NAME = "tunesmith_segments"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the segments of a packed batch lie. Passed to a model's forward as `segment_layout`."""

    segments: tuple[Segment, ...]


def segment_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    segment_layout: Layout | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention of each root segment to itself.

    Shapes: query (1, H, T, d); key and value (1, G, T, d) with G key-value heads; the result is
    (1, T, H, d), as transformers expects. Raises Unsupported for capped scores and for segments
    with a parent.
    """
    if segment_layout is None:
        kwargs = {"sliding_window": sliding_window, **rest}
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    if softcap is not None:
        raise Unsupported(f"{type(module).__name__} caps its scores, which is not computed here.")
    if any(segment.parent != ROOT for segment in segment_layout.segments):
        raise Unsupported("Segments with a parent (shared prefixes) are not supported yet.")
    # `split` and `cat` undo each other in the backward pass at the cost of one copy; slicing would
    # add a full-length gradient for every segment.
    lengths = [segment.end - segment.start for segment in segment_layout.segments]
    pieces = zip(*(tensor.split(lengths, dim=2) for tensor in (query, key, value)), strict=True)
    outputs = [
        scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=_window_mask(length, sliding_window, query.device),
            dropout_p=dropout,
            scale=scaling,
            is_causal=sliding_window is None or length <= sliding_window,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        for length, (q, k, v) in zip(lengths, pieces, strict=True)
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def _window_mask(length: int, window: int | None, device: torch.device) -> torch.Tensor | None:
    """The causal band of width `window`, shape (length, length), where a segment exceeds it."""
    if window is None or length <= window:
        return None
    ones = torch.ones(length, length, dtype=torch.bool, device=device)
    return ones.tril() & ones.triu(1 - window)


def switch(model: PreTrainedModel) -> bool:
    """Put our attention in; False where the model's class does not go through the interface."""
    try:
        model.set_attn_implementation(NAME)
    except (ValueError, ImportError):
        return False
    return model.config._attn_implementation == NAME


AttentionInterface.register(NAME, segment_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
