"""From a Batch to hidden states at its sites through a body without a head: encoders and decoders.

As with language models (`forward`), the packed path is taken only by a body that has just shown, on
a probe, that it then gives the states of its own code in padded rows. Where a token sees later
ones, segments share no prefixes: an encoder's may not; a decoder's may where a probe with a shared
prefix shows it.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from tunesmith.core.batch import Batch, Segment
from tunesmith.core.errors import Unsupported
from tunesmith.models import attention
from tunesmith.models.forward import close, evened, probe
from tunesmith.models.grid import Grid
from tunesmith.models.layout import Layout
from tunesmith.models.onwards import sees_later

# Returned as it is by transformers' mask code (it is four-dimensional already) and read by nobody.
_NO_MASK = (1, 1, 1, 1)


class PackedBody:
    """All segments in one row of length T; attention runs inside segments only.

    `causal` says that tokens see only earlier ones; `shares`, of those, that a common prefix may
    be computed once. `first` is the number of the first position (RoBERTa counts from behind its
    padding id).
    """

    name = "packed"
    reason = ""

    def __init__(
        self, body: nn.Module, *, causal: bool, first: int = 0, shares: bool = False
    ) -> None:
        self._body = body
        self._first = first
        self.causal = causal
        self.shares = shares

    def hidden_at_sites(self, batch: Batch) -> torch.Tensor:
        """Last hidden states at the batch's sites, shape (S, D)."""
        batch = evened(batch)
        hidden: torch.Tensor = self._body(
            input_ids=batch.tokens_T[None],
            position_ids=batch.positions_T[None] + self._first,
            attention_mask=torch.zeros(_NO_MASK, device=batch.tokens_T.device),
            segment_layout=Layout(batch.segments, self.causal),
        ).last_hidden_state
        return hidden[0].index_select(0, batch.sites_S)


class PaddedBody:
    """One row a segment, padded on the right: for bodies that do not call our attention."""

    name = "padded"
    shares = False

    def __init__(self, body: nn.Module, reason: str = "", *, causal: bool = False) -> None:
        self.reason = reason
        self.causal = causal
        self._body = body

    def hidden_at_sites(self, batch: Batch) -> torch.Tensor:
        """Last hidden states at the batch's sites, shape (S, D)."""
        grid = Grid(batch)
        hidden = self._body(
            input_ids=grid.spread(batch.tokens_T), attention_mask=grid.mask.long()
        ).last_hidden_state
        return grid.at_sites(hidden)


Body = PackedBody | PaddedBody


def choose_body(model: PreTrainedModel) -> Body:
    """The fastest path that gives this body's own hidden states on a probe of short segments."""
    batch = _roots(model)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            wanted = PaddedBody(model).hidden_at_sites(batch)
            causal = not sees_later(model)
            return _packed(model, batch, wanted, causal) or _padded(model, causal)
    finally:
        model.train(training)


def _packed(
    model: PreTrainedModel, batch: Batch, wanted: torch.Tensor, causal: bool
) -> PackedBody | None:
    own = model.config._attn_implementation
    if not attention.switch(model):
        return None
    for first in (0, (getattr(model.config, "pad_token_id", None) or 0) + 1):
        path = PackedBody(model, causal=causal, first=first)
        try:
            if close(path.hidden_at_sites(batch), wanted):
                path.shares = causal and _shares(model, path)
                return path
        except (Unsupported, IndexError):
            break
    model.set_attn_implementation(own)
    return None


def _shares(model: PreTrainedModel, path: PackedBody) -> bool:
    """Whether a prefix with two branches gives the states of two rows."""
    batch = probe(model)
    return close(path.hidden_at_sites(batch), PaddedBody(model).hidden_at_sites(batch))


def _padded(model: PreTrainedModel, causal: bool) -> PaddedBody:
    family = type(model).__name__
    return PaddedBody(
        model,
        f"{family} runs in padded rows: laid end to end, a few tokens did not give its own states.",
        causal=causal,
    )


def _roots(model: PreTrainedModel) -> Batch:
    """Segments of 7 and 5 tokens, a site at each."""
    device = model.device
    segments = (Segment(0, 7), Segment(7, 12))
    sites = torch.arange(segments[-1].end, device=device)
    vocabulary = int(model.config.get_text_config().vocab_size)
    return Batch(
        # No id is one of the low ones that stand for padding, which some bodies look for.
        tokens_T=vocabulary // 2 + sites * 31 % (vocabulary // 2 - 1),
        positions_T=torch.tensor([*range(7), *range(5)], device=device),
        segments=segments,
        sites_S=sites,
        targets_S=sites,
        weights_S=torch.ones(len(sites), device=device),
        owner_S=sites,
        origins=(),
    )
