"""From a Batch to hidden states at its sites through an encoder and a decoder (T5, BART).

A sequence is source, the token that the decoder starts with, target; its first site stands at that
token (see `data.source_target`). What stands before it is read by the encoder, what follows goes
into the decoder, both in rows padded on the right: rows that share nothing, for the encoder looks
both ways.

`choose_encoder_decoder` proves each path on a probe: padded rows against the model's own logits of
one row at a time, the targets shifted by the model itself, as its own loss does.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from tunesmith.core.batch import Batch, Segment
from tunesmith.core.errors import Unsupported
from tunesmith.models.forward import Head, LinearHead, close

_SOURCES, _TARGETS = (7, 4), (3, 5)
"""Tokens of the probe's rows: the longer source has the shorter target."""


class _Rows:
    """A batch as one row a sequence: sources and what the decoder reads, each padded with 0."""

    def __init__(self, batch: Batch) -> None:
        sites_S, device = batch.sites_S, batch.tokens_T.device
        ends = torch.tensor([segment.end for segment in batch.segments], device=device)
        self._row_S = torch.bucketize(sites_S, ends, right=True)
        starts_B = torch.full_like(ends, batch.tokens).scatter_reduce(
            0, self._row_S, sites_S, "amin"
        )
        self._column_S = sites_S - starts_B[self._row_S]
        spans = [
            (segment.start, start, segment.end)
            for segment, start in zip(batch.segments, starts_B.tolist(), strict=True)
        ]
        tokens_T = batch.tokens_T
        self.source_BN = pad_sequence([tokens_T[a:b] for a, b, _ in spans], batch_first=True)
        # From the end token nothing is predicted, so the decoder does not read it.
        self.target_BN = pad_sequence([tokens_T[b : c - 1] for _, b, c in spans], batch_first=True)
        lengths_B = torch.tensor([b - a for a, b, _ in spans], device=device)
        longest = torch.arange(self.source_BN.shape[1], device=device)
        self.mask_BN = (longest[None] < lengths_B[:, None]).long()

    def at_sites(self, values_BND: torch.Tensor) -> torch.Tensor:
        """What the decoder gives at the batch's sites, shape (S, …)."""
        return values_BND[self._row_S, self._column_S]


class EncoderDecoderForward:
    """Encoder, decoder, and the head at sites only.

    `scale` is what the model multiplies its last states by before its head: T5's is 1 / √D where
    head and embeddings are one matrix (Raffel et al. 2020; Mesh TensorFlow).
    """

    name = "encoder and decoder, padded"
    shares = False
    outputs = None

    def __init__(self, model: PreTrainedModel, scale: float = 1.0) -> None:
        self.reason = "Rows are padded: an encoder reads them, and a decoder writes."
        self._model = model
        self._scale = scale
        self._head = Head(model)

    def hidden_at_sites(self, batch: Batch) -> torch.Tensor:
        """The decoder's last hidden states at the batch's sites, shape (S, D)."""
        rows = _Rows(batch)
        read = self._model.get_encoder()(input_ids=rows.source_BN, attention_mask=rows.mask_BN)
        written = self._model.get_decoder()(
            input_ids=rows.target_BN,
            encoder_hidden_states=read.last_hidden_state,
            encoder_attention_mask=rows.mask_BN,
            use_cache=False,
        )
        states_SD = rows.at_sites(written.last_hidden_state)
        return states_SD if self._scale == 1 else states_SD * self._scale

    def head(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """Logits, shape (S, V)."""
        return self._head(hidden_SD)

    @property
    def linear_head(self) -> LinearHead | None:
        """Weight and bias, where the head is nothing but that linear map."""
        return self._head.parts


class WholeEncoderDecoderForward:
    """For models whose logits are more than that: their own forward, in padded rows.

    What passes as hidden states here are the model's logits at the sites, (S, V), and the head is
    the identity, so that an objective sees no difference.
    """

    name = "encoder and decoder, padded, full logits"
    shares = False
    outputs = None
    linear_head = None

    def __init__(self, model: PreTrainedModel) -> None:
        self.reason = (
            f"{type(model).__name__} runs whole and in padded rows: its logits are more than a "
            "linear layer over the decoder's last hidden state."
        )
        self._model = model

    def hidden_at_sites(self, batch: Batch) -> torch.Tensor:
        """The model's own logits at the sites, shape (S, V)."""
        rows = _Rows(batch)
        logits = self._model(
            input_ids=rows.source_BN,
            attention_mask=rows.mask_BN,
            decoder_input_ids=rows.target_BN,
            use_cache=False,
        ).logits
        return rows.at_sites(logits)

    def head(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """The identity: `hidden_SD` holds logits already."""
        return hidden_SD


AnyEncoderDecoder = EncoderDecoderForward | WholeEncoderDecoderForward


@torch.no_grad()
def choose_encoder_decoder(model: PreTrainedModel, start: int) -> AnyEncoderDecoder:
    """The cheapest path that gives this model's own logits on a probe of two rows.

    Raises Unsupported where none does: the model's answer to a row depends on the rows beside it,
    or its loss shifts targets otherwise than behind the one token `start`.
    """
    batch, training = _probe(model, start), model.training
    model.eval()
    try:
        wanted = _one_by_one(model, batch)
        if isinstance(model.get_output_embeddings(), nn.Linear):
            width = model.get_output_embeddings().in_features
            for scale in (1.0, width**-0.5):
                path = EncoderDecoderForward(model, scale)
                if close(path.head(path.hidden_at_sites(batch)), wanted):
                    return path
        whole = WholeEncoderDecoderForward(model)
        if close(whole.hidden_at_sites(batch), wanted):
            return whole
    finally:
        model.train(training)
    raise Unsupported(
        f"{type(model).__name__} answers a row in another way alone than beside others, or shifts "
        "its targets in a way of its own, so that it cannot be trained exactly here. Choose a base "
        "of the T5, mT5, BART or Pegasus family, or a decoder-only one, as model.base."
    )


def _one_by_one(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Logits of the model's own forward, a row at a time, its own shift of the targets included."""
    logits = []
    for place, (start, end, _) in enumerate(batch.segments):
        ids = batch.tokens_T[start:end]
        source, target = ids[: _SOURCES[place]], ids[_SOURCES[place] + 1 :]
        logits.append(model(input_ids=source[None], labels=target[None]).logits[0])
    return torch.cat(logits)


def _probe(model: PreTrainedModel, start: int) -> Batch:
    """Two rows of different lengths; targets and weights are read by nobody."""
    vocabulary = int(model.get_output_embeddings().weight.shape[0])
    pieces, sites = [], []
    segments: list[Segment] = []
    for source, target in zip(_SOURCES, _TARGETS, strict=True):
        begin = segments[-1].end if segments else 0
        # No id is one of the low ones that stand for padding, which some models look for.
        count = source + 1 + target
        ids = vocabulary // 2 + torch.arange(begin, begin + count) * 31 % (vocabulary // 2 - 1)
        ids[source] = start
        pieces.append(ids)
        segments.append(Segment(begin, begin + count))
        sites.append(torch.arange(begin + source, begin + count - 1))
    tokens_T, sites_S = (torch.cat(each).to(model.device) for each in (pieces, sites))
    return Batch(
        tokens_T=tokens_T,
        positions_T=tokens_T,
        segments=tuple(segments),
        sites_S=sites_S,
        targets_S=sites_S,
        weights_S=torch.ones(len(sites_S), device=model.device),
        owner_S=sites_S,
        origins=(),
    )
