"""Attention inside segments and to their ancestors, through transformers' own extension point.

`AttentionInterface` lets a model call our function for every attention layer, and hands it the
keyword arguments given to the model's forward. We pass the batch's layout that way, so packing and
shared prefixes need no edited model code.

Three kernels compute the same numbers: a few matrix products a segment on the processor
(`segment_attention`); one call of flex attention on CUDA, which skips the blocks where nobody
looks; and a mask over each tree where neither serves (dropped scores; capped ones on CUDA).

What is given as `segment_branches` keeps the keys and values of prompts and attends for the answers
that are being written to them. Without either (ordinary generation with a cache) attention and mask
are those of `sdpa`.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

import torch
from torch.nn.attention.flex_attention import flex_attention
from torch.nn.functional import dropout as drop
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tunesmith.core.errors import Unsupported
from tunesmith.models.branches import Branches
from tunesmith.models.layout import Layout
from tunesmith.models.segment_attention import attend

NAME = "tunesmith_segments"


class Attends(Protocol):
    """Keeps what was before, and attends for the tokens that a forward is given, wherever they are.

    See `Branches`, the first of its kind.
    """

    def attend(
        self,
        layer: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        window: int | None = None,
        softcap: float | None = None,
    ) -> torch.Tensor:
        """(1, H, T, d) to (1, T, H, d)."""
        ...


def segment_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    segment_layout: Layout | None = None,
    segment_branches: Branches | Attends | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of each token to its own segment up to itself, and to all of its ancestors.

    With `segment_branches` and a layout they keep the keys and values; without a layout each token
    is the next of a branch, and attends to all that is kept for it.

    Shapes: query (1, H, T, d); key and value (1, G, T, d) with G key-value heads; the result is
    (1, T, H, d), as transformers expects. Raises Unsupported for attention sinks.
    """
    if segment_branches is not None:
        if segment_layout is None:
            scale = query.shape[-1] ** -0.5 if scaling is None else scaling
            new = (query, key, value)
            return segment_branches.attend(module, *new, scale, sliding_window, softcap), None
        if isinstance(segment_branches, Branches):
            segment_branches.remember(module, key, value)
    if segment_layout is None:
        kwargs = {"sliding_window": sliding_window, **rest}
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    if rest.get("s_aux") is not None:
        raise Unsupported("its attention has sinks, which are not computed here")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    window = segment_layout.effective(sliding_window)
    if dropout == 0.0 and query.device.type == "cpu":
        blocks = segment_layout.blocks(query.shape[1])
        return attend(query, key, value, blocks, scale, window, softcap), None
    if dropout == 0.0 and softcap is None and query.device.type == "cuda":
        out = flex(query, key, value, segment_layout, scale, window)
    else:
        out = dense_attention(query, key, value, segment_layout, scale, window, softcap, dropout)
    return out.transpose(1, 2), None


def flex(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    scale: float,
    window: int | None,
) -> torch.Tensor:
    """Flex attention (Dong et al. 2024) over the layout's visibility, shape (1, H, T, d).

    Not run on a device yet: its mask is tested against the dense one on the processor, where
    PyTorch computes flex attention without compiling it.
    """
    compute = _compiled_flex() if query.is_cuda else flex_attention
    out: torch.Tensor = compute(
        query,
        key,
        value,
        block_mask=layout.block_mask(window, query.device),
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return out


@cache
def _compiled_flex() -> Any:
    return torch.compile(flex_attention, dynamic=True)


def dense_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: Layout,
    scale: float,
    window: int | None,
    softcap: float | None = None,
    dropout: float = 0.0,
) -> torch.Tensor:
    """A mask over each tree: the plain form of the above, shape (1, H, T, d).

    A `softcap` c bends scores to c tanh(score / c) (Gemma 2, 2024). Costs the square of a tree's
    tokens.
    """
    groups = query.shape[1] // key.shape[1]
    outputs = []
    for tree in layout.trees:
        q, k, v = query[:, :, tree], key[:, :, tree], value[:, :, tree]
        seen = layout.visible(tree, window, query.device)
        if softcap is None:
            outputs.append(
                scaled_dot_product_attention(
                    q, k, v, attn_mask=seen, dropout_p=dropout, scale=scale, enable_gqa=groups > 1
                )
            )
            continue
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        scores = softcap * torch.tanh(q @ k.transpose(-1, -2) * (scale / softcap))
        shares = torch.softmax(scores.masked_fill(~seen, -torch.inf), -1, dtype=torch.float32)
        outputs.append(drop(shares.to(q.dtype), dropout) @ v)
    return torch.cat(outputs, dim=2)


def switch(model: PreTrainedModel) -> bool:
    """Put our attention in; False where the model's class does not go through the interface."""
    try:
        model.set_attn_implementation(NAME)
    except (ValueError, ImportError):
        return False
    return model.config._attn_implementation == NAME


AttentionInterface.register(NAME, segment_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
