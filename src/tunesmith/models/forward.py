"""From a Batch to hidden states at its sites: the packed path, and padded paths for other models.

Both compute the same numbers; `choose_forward` takes the packed path only for a model that has just
shown, on a small probe, that it then gives the logits of its own code and attention.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from transformers import PreTrainedModel

from tunesmith.core.batch import Batch, Segment
from tunesmith.core.errors import Unsupported
from tunesmith.models import attention

# Returned as it is by transformers' mask code (it is four-dimensional already) and read by nobody:
# the layout says who attends to whom. Without it a (T, T) mask would be built and thrown away.
_NO_MASK = (1, 1, 1, 1)


class PackedForward:
    """All segments in one row of length T; attention runs inside segments only."""

    name = "packed"

    def __init__(self, model: PreTrainedModel) -> None:
        self._body = model.base_model
        self._head = model.get_output_embeddings()

    def hidden_at_sites(self, batch: Batch) -> torch.Tensor:
        """Last hidden states at the batch's sites, shape (S, D)."""
        hidden = self._body(
            input_ids=batch.tokens_T[None],
            position_ids=batch.positions_T[None],
            attention_mask=torch.zeros(_NO_MASK, device=batch.tokens_T.device),
            use_cache=False,
            segment_layout=attention.Layout(batch.segments),
        ).last_hidden_state
        return hidden[0].index_select(0, batch.sites_S)

    def head(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """Logits, shape (S, V)."""
        return self._head(hidden_SD)


class PaddedForward:
    """One row a segment, padded on the right: for models that do not call our attention."""

    name = "padded"

    def __init__(self, model: PreTrainedModel) -> None:
        self._body = model.base_model
        self._head = model.get_output_embeddings()

    def hidden_at_sites(self, batch: Batch) -> torch.Tensor:
        """Last hidden states at the batch's sites, shape (S, D)."""
        rows, columns, mask = _grid(batch)
        tokens = torch.zeros_like(mask, dtype=torch.long)
        positions = torch.zeros_like(tokens)
        tokens[rows, columns] = batch.tokens_T
        positions[rows, columns] = batch.positions_T
        hidden = self._body(
            input_ids=tokens, position_ids=positions, attention_mask=mask.long(), use_cache=False
        ).last_hidden_state
        return hidden[rows, columns].index_select(0, batch.sites_S)

    def head(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """Logits, shape (S, V)."""
        return self._head(hidden_SD)


class FullLogitsForward(PaddedForward):
    """For models whose logits are more than a linear head (soft caps, scales): their own forward.

    What passes as hidden states here are the model's logits at the sites, (S, V), and the head is
    the identity, so that an objective sees no difference.
    """

    name = "full logits"

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    def hidden_at_sites(self, batch: Batch) -> torch.Tensor:
        """The model's own logits at the sites, shape (S, V)."""
        rows, columns, mask = _grid(batch)
        tokens = torch.zeros_like(mask, dtype=torch.long)
        tokens[rows, columns] = batch.tokens_T
        logits = self._model(input_ids=tokens, attention_mask=mask.long(), use_cache=False).logits
        return logits[rows, columns].index_select(0, batch.sites_S)

    def head(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """The identity: `hidden_SD` holds logits already."""
        return hidden_SD


Forward = PackedForward | PaddedForward | FullLogitsForward


def choose_forward(model: PreTrainedModel) -> Forward:
    """The fastest path that gives this model's own logits on a probe of two short segments.

    A model whose packed path does not reach them (capped scores, attention sinks) gets its own
    attention back. Raises Unsupported for a model that lets a token attend to later ones.
    """
    batch = _probe(_vocab_size(model), model.device)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            wanted = _logits(FullLogitsForward(model), batch)
            _require_causal(model, batch, wanted)
            return _first_equal(model, batch, wanted)
    finally:
        model.train(training)


def _first_equal(model: PreTrainedModel, batch: Batch, wanted: torch.Tensor) -> Forward:
    if not _has_plain_head(model):
        return FullLogitsForward(model)
    own = model.config._attn_implementation
    if attention.switch(model):
        if _gives(PackedForward(model), batch, wanted):
            return PackedForward(model)
        model.set_attn_implementation(own)
    padded = PaddedForward(model)
    return padded if _gives(padded, batch, wanted) else FullLogitsForward(model)


def _has_plain_head(model: PreTrainedModel) -> bool:
    """Whether logits may be linear in the hidden state. A cap hides on a probe of small logits."""
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return isinstance(model.get_output_embeddings(), nn.Linear) and cap is None


def _gives(path: Forward, batch: Batch, wanted: torch.Tensor) -> bool:
    try:
        logits = _logits(path, batch)
    except Unsupported:  # our attention refuses what it does not compute
        return False
    return _close(logits, wanted)


def _require_causal(model: PreTrainedModel, batch: Batch, wanted: torch.Tensor) -> None:
    """Raises Unsupported if another last token changes the logits before it."""
    tokens = batch.tokens_T.clone()
    tokens[-1] = (tokens[-1] + 1) % _vocab_size(model)
    changed = _logits(FullLogitsForward(model), replace(batch, tokens_T=tokens))
    if not _close(changed[:-1], wanted[:-1]):
        raise Unsupported(
            f"{type(model).__name__} lets a token attend to later ones, so it cannot be trained to "
            "write. Choose a decoder-only language model as model.base."
        )


def _vocab_size(model: PreTrainedModel) -> int:
    return int(model.config.get_text_config().vocab_size)


def _logits(path: Forward, batch: Batch) -> torch.Tensor:
    return path.head(path.hidden_at_sites(batch))


def _close(left: torch.Tensor, right: torch.Tensor) -> bool:
    absolute = 1e-4 if right.dtype == torch.float32 else 0.1
    return torch.allclose(left.float(), right.float(), atol=absolute, rtol=1e-3)


def _probe(vocab_size: int, device: torch.device) -> Batch:
    """Two segments of 7 and 5 tokens: attention across them would change the second's logits."""
    tokens = torch.arange(12, device=device) * 31 % vocab_size
    positions = torch.cat([torch.arange(7), torch.arange(5)]).to(device)
    sites = torch.arange(12, device=device)
    return Batch(
        tokens_T=tokens,
        positions_T=positions,
        segments=(Segment(0, 7), Segment(7, 12)),
        sites_S=sites,
        targets_S=sites,
        weights_S=torch.ones(12, device=device),
        owner_S=sites,
        origins=(),
    )


def _grid(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where each token of T goes in a (segments, longest) grid, and the mask of used cells."""
    device = batch.tokens_T.device
    lengths = torch.tensor([s.end - s.start for s in batch.segments], device=device)
    columns = torch.cat([torch.arange(int(length), device=device) for length in lengths])
    rows = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths)
    mask = torch.arange(int(lengths.max()), device=device)[None] < lengths[:, None]
    return rows, columns, mask
