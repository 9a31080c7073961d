"""From a Batch to hidden states at its sites: the packed path, and padded paths for other models.

Both compute the same numbers; `choose_forward` takes the packed path only for a model that has just
shown, on a small probe, that it then gives the logits of its own code and attention. Where it does
not, `reason` says why, in a sentence for the user.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import torch
from torch import nn
from transformers import PreTrainedModel

from tunesmith.core.batch import Batch, Segment
from tunesmith.core.errors import Unsupported
from tunesmith.models import attention
from tunesmith.models.branches import Branches
from tunesmith.models.fused.linear import hooked
from tunesmith.models.grid import Grid
from tunesmith.models.layout import Layout
from tunesmith.models.onwards import sees_later

LinearHead = tuple[torch.Tensor, torch.Tensor | None]

# Returned as it is by transformers' mask code (it is four-dimensional already) and read by nobody:
# the layout says who attends to whom. Without it a (T, T) mask would be built and thrown away.
_NO_MASK = (1, 1, 1, 1)

_SIZES = 64
"""T is filled up to a multiple of this many tokens."""


class PackedForward:
    """All segments in one row of length T; attention runs inside segments and to their ancestors.

    `shares` says that a prefix shared by several sequences is computed once.
    """

    name = "packed"
    shares = True
    reason = ""
    outputs = None

    def __init__(self, model: PreTrainedModel) -> None:
        self._body = model.base_model
        self._head = Head(model)

    def with_body(self, body: nn.Module) -> PackedForward:
        """The same path through another body, as one that leaves out layers."""
        other = copy(self)
        other._body = body
        return other

    def hidden_at_sites(self, batch: Batch) -> torch.Tensor:
        """Last hidden states at the batch's sites, shape (S, D)."""
        batch = evened(batch)
        layout = Layout(batch.segments)
        hidden_TD = self.hidden(batch.tokens_T, batch.positions_T, segment_layout=layout)
        return hidden_TD.index_select(0, batch.sites_S)

    def hidden(
        self,
        tokens_T: torch.Tensor,
        positions_T: torch.Tensor,
        **attending: Layout | Branches | attention.Attends,
    ) -> torch.Tensor:
        """Last hidden states of all tokens, shape (T, D); `attending` reaches our attention."""
        output = self._body(
            input_ids=tokens_T[None],
            position_ids=positions_T[None],
            attention_mask=torch.zeros(_NO_MASK, device=tokens_T.device),
            use_cache=False,
            **attending,
        )
        states_TD: torch.Tensor = output.last_hidden_state[0]
        return states_TD

    def head(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """Logits, shape (S, V)."""
        return self._head(hidden_SD)

    @property
    def linear_head(self) -> LinearHead | None:
        """Weight and bias, where the head is nothing but that linear map."""
        return self._head.parts


def evened_size(tokens: int) -> int:
    """How many tokens the packed path computes for so many."""
    return -(-tokens // _SIZES) * _SIZES


def evened(batch: Batch) -> Batch:
    """The batch with a segment behind its last that fills T up to a multiple of 64.

    Nobody attends to it and no site reads it. Libraries make code for each size they meet, and
    keep it (oneDNN 30 MB for a new T in bfloat16), so few sizes are faster and smaller than many.
    """
    more = evened_size(batch.tokens) - batch.tokens
    if not more:
        return batch
    positions_T = torch.arange(more, device=batch.positions_T.device)
    return replace(
        batch,
        tokens_T=torch.cat([batch.tokens_T, torch.zeros_like(positions_T)]),
        positions_T=torch.cat([batch.positions_T, positions_T]),
        segments=(*batch.segments, Segment(batch.tokens, batch.tokens + more)),
    )


class PaddedForward:
    """One row a path of segments, padded on the right: for models that do not call our attention.

    A shared prefix is computed in every row that it begins.
    """

    name = "padded"
    shares = False
    outputs = None

    def __init__(self, model: PreTrainedModel, reason: str = "") -> None:
        self.reason = reason
        self._body = model.base_model
        self._head = Head(model)

    def hidden_at_sites(self, batch: Batch) -> torch.Tensor:
        """Last hidden states at the batch's sites, shape (S, D)."""
        grid = Grid(batch)
        hidden = self._body(
            input_ids=grid.spread(batch.tokens_T),
            position_ids=grid.spread(batch.positions_T),
            attention_mask=grid.mask.long(),
            use_cache=False,
        ).last_hidden_state
        return grid.at_sites(hidden)

    def head(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """Logits, shape (S, V)."""
        return self._head(hidden_SD)

    @property
    def linear_head(self) -> LinearHead | None:
        """Weight and bias, where the head is nothing but that linear map."""
        return self._head.parts


class FullLogitsForward(PaddedForward):
    """For models whose logits are more than a linear head (soft caps, scales): their own forward.

    What passes as hidden states here are the model's logits at the sites, (S, V), and the head is
    the identity, so that an objective sees no difference.
    """

    name = "full logits"

    def __init__(self, model: PreTrainedModel, reason: str = "") -> None:
        self.reason = reason
        self._model = model

    def hidden_at_sites(self, batch: Batch) -> torch.Tensor:
        """The model's own logits at the sites, shape (S, V)."""
        grid = Grid(batch)
        logits = self._model(
            input_ids=grid.spread(batch.tokens_T),
            attention_mask=grid.mask.long(),
            use_cache=False,
        ).logits
        return grid.at_sites(logits)

    def head(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """The identity: `hidden_SD` holds logits already."""
        return hidden_SD

    @property
    def linear_head(self) -> None:
        """None: what passes as hidden states are logits already."""
        return None


Forward = PackedForward | PaddedForward | FullLogitsForward


class Head:
    """The vocabulary head of a model: linear, then scaled and capped as its configuration says."""

    def __init__(self, model: PreTrainedModel) -> None:
        config = model.config.get_text_config()
        self.linear: nn.Module = model.get_output_embeddings()
        self.scale = getattr(config, "logit_scale", None) or 1 / getattr(
            config, "logits_scaling", 1.0
        )
        self.cap: float | None = getattr(config, "final_logit_softcapping", None)

    @property
    def is_linear(self) -> bool:
        """Whether logits are the linear layer's own output."""
        return self.scale == 1 and self.cap is None

    @property
    def parts(self) -> LinearHead | None:
        """Weight and bias of a plain linear head: no adapter, no hook, no scale and no cap."""
        layer = self.linear
        if type(layer) is not nn.Linear or hooked(layer) or not self.is_linear:
            return None
        return layer.weight, layer.bias

    def __call__(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        logits_SV: torch.Tensor = self.linear(hidden_SD)
        if self.scale != 1:
            logits_SV = logits_SV * self.scale
        if self.cap is not None:
            logits_SV = torch.tanh(logits_SV / self.cap) * self.cap
        return logits_SV


def choose_forward(model: PreTrainedModel) -> Forward:
    """The fastest path that gives this model's own logits on a probe of a few short segments.

    A model whose packed path does not reach them (attention sinks, attention of its own) gets its
    own attention back. Raises Unsupported for a model that lets a token attend to later ones.
    """
    batch = probe(model)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            require_causal(model)
            wanted = _logits(FullLogitsForward(model), batch)
            return _first_equal(model, batch, wanted)
    finally:
        model.train(training)


def _first_equal(model: PreTrainedModel, batch: Batch, wanted: torch.Tensor) -> Forward:
    family = type(model).__name__
    if not isinstance(model.get_output_embeddings(), nn.Linear):
        return FullLogitsForward(
            model, f"{family} runs whole and in padded rows: its logits come from no linear layer."
        )
    own = model.config._attn_implementation
    wrong = "its attention is code of its own, which cannot be exchanged"
    if attention.switch(model):
        packed = PackedForward(model)
        wrong = _wrong(packed, batch, wanted)
        if not wrong:
            return packed
        model.set_attn_implementation(own)
    padded = PaddedForward(model, f"{family} runs in padded rows: {wrong}.")
    if not _wrong(padded, batch, wanted):
        return padded
    return FullLogitsForward(
        model,
        f"{family} runs whole and in padded rows: its logits are more than a linear layer over "
        "the last hidden state.",
    )


def _wrong(path: Forward, batch: Batch, wanted: torch.Tensor) -> str:
    """What keeps `path` from giving the logits `wanted`; empty where it gives them."""
    try:
        logits = _logits(path, batch)
    except Unsupported as refused:
        return str(refused)
    if close(logits, wanted):
        return ""
    return "on a probe of a few tokens the packed path did not give its own logits"


def require_causal(model: PreTrainedModel) -> None:
    """Raises Unsupported for a model that lets a token attend to later ones."""
    if sees_later(model):
        raise Unsupported(
            f"{type(model).__name__} lets a token attend to later ones, so it cannot be trained to "
            "write. Choose a decoder-only language model as model.base."
        )


def _vocab_size(model: PreTrainedModel) -> int:
    return int(model.config.get_text_config().vocab_size)


def _logits(path: Forward, batch: Batch) -> torch.Tensor:
    return path.head(path.hidden_at_sites(batch))


def close(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two computations of the same numbers differ by no more than rounding."""
    # In bfloat16 both round at each layer, in proportion to the logits: a tuned model's are large.
    rounding = max(0.1, float(right.abs().max()) * 2**-6)
    absolute = 1e-4 if right.dtype == torch.float32 else rounding
    return torch.allclose(left.float(), right.float(), atol=absolute, rtol=1e-3)


def probe(model: PreTrainedModel) -> Batch:
    """A prefix of 7 tokens with branches of 4 and 3, and 5 tokens alone: all that a layout can say.

    Attention across branches or roots would change logits, and so would a prefix not seen.
    """
    device = model.device
    segments = (Segment(0, 7), Segment(7, 11, 0), Segment(11, 14, 0), Segment(14, 19))
    total = segments[-1].end
    positions = [*range(11), *range(7, 10), *range(5)]
    sites = torch.arange(total, device=device)
    return Batch(
        tokens_T=sites * 31 % _vocab_size(model),
        positions_T=torch.tensor(positions, device=device),
        segments=segments,
        sites_S=sites,
        targets_S=sites,
        weights_S=torch.ones(total, device=device),
        owner_S=sites,
        origins=(),
    )
