"""From prompts to the logits of each answer's next token, a token at a time.

Two ways give the same numbers. `PackedDecoding` is the trainer's own path: prompts are laid end to
end and computed once, and the answers are branches below them, which see the prompt's keys where
they lie. `PaddedDecoding` is for models that do not call our attention, and for those behind
virtual tokens: transformers' cache, copied for each answer of a prompt.

Shape legend: P prompts, R answers (rows), N tokens of a prompt, T tokens end to end, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Protocol

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache

from tunesmith.core.batch import Batch, Segment
from tunesmith.core.errors import Unsupported
from tunesmith.models.branches import Branches
from tunesmith.models.forward import (
    FullLogitsForward,
    PackedForward,
    PaddedForward,
    evened,
)
from tunesmith.models.layout import Layout
from tunesmith.models.open import Base
from tunesmith.models.prompted import PromptedForward

Rows = Sequence[torch.Tensor]


class Decoding(Protocol):
    """Answers under way."""

    logits_RV: torch.Tensor
    """Of the next token of each answer."""

    def step(self, tokens_R: torch.Tensor) -> None:
        """Go on with these tokens."""
        ...

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these answers alone: ascending indices into the present ones."""
        ...


def begin(base: Base, prompts: Rows, owner_R: torch.Tensor) -> Decoding:
    """Compute each prompt once, and begin the answers that `owner_R` gives to them: indices into
    `prompts`, ascending.

    Raises Unsupported for a base that writes in another way than token by token to a text.
    """
    if isinstance(base.forward, PackedForward):
        return PackedDecoding(base.forward, prompts, owner_R)
    if isinstance(base.forward, PaddedForward | FullLogitsForward | PromptedForward):
        return PaddedDecoding(base.model, base.forward, prompts, owner_R)
    has = "is shown pictures" if base.sees else "reads and writes apart"
    raise Unsupported(
        f"{base.described.name} {has}, and answers to be learned from are drawn from decoder-only "
        "models of text. Choose such a base as model.base."
    )


class PackedDecoding:
    """Answers as branches of their prompts, without padding."""

    def __init__(self, forward: PackedForward, prompts: Rows, owner_R: torch.Tensor) -> None:
        self._forward = forward
        self._branches = Branches([len(ids) for ids in prompts], owner_R)
        batch = evened(_end_to_end(prompts))
        hidden_TD = forward.hidden(
            batch.tokens_T,
            batch.positions_T,
            segment_layout=Layout(batch.segments),
            segment_branches=self._branches,
        )
        self.logits_RV = forward.head(hidden_TD[batch.sites_S])[owner_R]

    def step(self, tokens_R: torch.Tensor) -> None:
        """See Decoding."""
        positions_R = self._branches.advance()
        hidden_RD = self._forward.hidden(tokens_R, positions_R, segment_branches=self._branches)
        self.logits_RV = self._forward.head(hidden_RD)

    def keep(self, rows: torch.Tensor) -> None:
        """See Decoding."""
        self._branches.keep(rows)


def _end_to_end(prompts: Rows) -> Batch:
    """A segment each, and a site at the last token of each."""
    ends = list(accumulate(len(ids) for ids in prompts))
    segments = tuple(Segment(end - len(ids), end) for end, ids in zip(ends, prompts, strict=True))
    sites = torch.tensor(ends, device=prompts[0].device) - 1
    return Batch(
        tokens_T=torch.cat(list(prompts)),
        positions_T=torch.cat([torch.arange(len(ids), device=ids.device) for ids in prompts]),
        segments=segments,
        sites_S=sites,
        targets_S=sites,
        weights_S=torch.ones_like(sites),
        owner_S=torch.arange(len(prompts), device=sites.device),
        origins=(),
    )


class PaddedDecoding:
    """Answers in rows padded on the left, with transformers' own attention and cache.

    Behind virtual tokens prompts must be of one length, for padding would stand between the two.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        forward: PaddedForward | PromptedForward,
        prompts: Rows,
        owner_R: torch.Tensor,
    ) -> None:
        """Raises Unsupported for a model that goes on from a state of its own."""
        self._model: Any = model
        ids_PN = pad_sequence(list(prompts), batch_first=True, padding_side="left")
        ones = [torch.ones_like(ids) for ids in prompts]
        mask_PN = pad_sequence(ones, batch_first=True, padding_side="left")
        if isinstance(forward, PromptedForward):
            output = forward.begun(ids_PN)
            mask_PN = ids_PN.new_ones(len(ids_PN), ids_PN.shape[1] + forward.virtual_tokens)
            self._position_R = None
        else:
            positions_PN = (mask_PN.cumsum(1) - 1).clamp_(min=0)
            self._position_R = positions_PN[:, -1] if self._takes_positions else None
            output = self._forward(ids_PN, mask_PN, DynamicCache(config=model.config), positions_PN)
        self._cache = output.past_key_values
        if not isinstance(self._cache, Cache):
            raise Unsupported(
                f"{type(model).__name__} goes on writing from a state of its own instead of keys "
                "and values, so its answers cannot be drawn here. Choose another model.base."
            )
        self._mask = mask_PN
        self.logits_RV = output.logits[:, -1]
        self._select(owner_R)

    @property
    def _takes_positions(self) -> bool:
        """Those that do not count them from the mask, or need none."""
        return "position_ids" in inspect.signature(self._model.forward).parameters

    def step(self, tokens_R: torch.Tensor) -> None:
        """See Decoding."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens_R), 1)], dim=1)
        positions = None
        if self._position_R is not None:
            self._position_R = self._position_R + 1
            positions = self._position_R[:, None]
        output = self._forward(tokens_R[:, None], self._mask, self._cache, positions)
        self.logits_RV = output.logits[:, -1]

    def keep(self, rows: torch.Tensor) -> None:
        """See Decoding."""
        self._select(rows)

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, cache: Cache, positions: torch.Tensor | None
    ) -> Any:
        told = {}
        if positions is not None and self._takes_positions:
            told["position_ids"] = positions
        return self._model(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **told
        )

    def _select(self, rows: torch.Tensor) -> None:
        self._cache.batch_select_indices(rows)
        self._mask, self.logits_RV = self._mask[rows], self.logits_RV[rows]
        if self._position_R is not None:
            self._position_R = self._position_R[rows]
