"""Lays labelled sequences end to end into one Batch: where each is read, and what it is.

A sequence is judged by one state: that of its last token (a decoder's has seen all others), of its
first (the one an encoder is trained to sum up in), or the mean of all. A tagged one is read at each
of its words. Of a text beside others (a pair, a triplet) it is said which of its row it is, and to
which others it is equal: those are not held against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b

import numpy as np

from tunesmith.core.batch import Batch, Pooling
from tunesmith.core.records import Tokens
from tunesmith.data.classes import Targets
from tunesmith.data.known import Known
from tunesmith.data.pack import lay_down


class Layer:
    """Makes a Batch of labelled sequences.

    Args:
        pooling: where a sequence is read.
        targets: what its labels stand for, None where rows have none (embeddings).
        known: what a frozen model makes of rows, where that is known.
    """

    def __init__(
        self, pooling: Pooling, targets: Targets | None, known: Known | None = None
    ) -> None:
        self._pooling = pooling
        self._targets = targets
        self._known = known

    def __call__(self, examples: Sequence[Tokens], share: bool = False) -> Batch:
        """The sequences in their order; with `share` a common beginning is laid down once, which
        is for bodies that read onwards."""
        laid = lay_down(examples, share)
        sites = [
            places[self._read(each)] for places, each in zip(laid.places, examples, strict=True)
        ]
        counts = [len(each) for each in sites]
        owner_S = np.repeat(np.arange(len(examples)), counts)
        batch = Batch(
            tokens_T=laid.tokens_T,
            positions_T=laid.positions_T,
            segments=laid.segments,
            sites_S=np.concatenate(sites).astype(np.int64),
            targets_S=np.zeros(len(owner_S), dtype=np.int64),
            weights_S=np.repeat(1 / np.array(counts), counts).astype(np.float32),
            owner_S=owner_S.astype(np.int64),
            origins=tuple(example.origin for example in examples),
            features_RD=None if self._known is None else self._known.of(examples),
        )
        if self._targets is None:
            return batch
        if self._pooling == "words":
            ones_S = np.ones(len(owner_S), dtype=np.float32)
            return replace(batch, targets_S=self._targets.of_rows(examples), weights_S=ones_S)
        labels_B = self._targets.of_rows(examples)
        if self._targets.problem not in ("similarity", "preference"):
            return replace(batch, labels_B=labels_B)
        parts_B = np.array([example.part for example in examples], dtype=np.int64)
        if self._targets.problem == "preference":
            return replace(batch, labels_B=labels_B, parts_B=parts_B)
        texts_B = np.array([text_number(example) for example in examples], dtype=np.int64)
        return replace(batch, labels_B=labels_B, parts_B=parts_B, texts_B=texts_B)

    def _read(self, example: Tokens) -> np.ndarray:
        """The tokens of a sequence at which it is read."""
        if self._pooling == "words":
            return np.flatnonzero(example.weights_N)
        if self._pooling == "mean":
            return np.arange(len(example))
        return np.array([0 if self._pooling == "cls" else len(example) - 1])


def text_number(example: Tokens) -> int:
    """A number that sequences of the same tokens share, and hardly any others."""
    digest = blake2b(example.ids_N.astype("<i4").tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
