"""Asking a model that labels: its features and its outputs for many rows, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tunesmith.core.batch import Batch
from tunesmith.core.records import Tokens
from tunesmith.data.known import Known
from tunesmith.data.lay import Layer
from tunesmith.data.pack import within_budget
from tunesmith.engine.loop import on_device
from tunesmith.models.labelled import LabelModel

Floats = NDArray[np.float32]


class Asked(Protocol):
    """A model that labels, as it is asked about rows of any kind."""

    def features(self, rows: Sequence[Tokens]) -> Floats:
        """What the head reads of each row, (R, D) float32."""
        ...

    def outputs(self, rows: Sequence[Tokens]) -> Floats:
        """What the head gives for each row, (R, C) float32."""
        ...


class Predictor:
    """Asks `model` as it stands.

    Args:
        model: in any mode.
        tokens_per_batch: how many are computed at once.
        known: what a frozen body makes of rows, where that is known.
    """

    def __init__(
        self, model: LabelModel, tokens_per_batch: int, known: Known | None = None
    ) -> None:
        self._model = model
        self._budget = tokens_per_batch
        self._layer = Layer(model.pooling, None, known)

    def features(self, rows: Sequence[Tokens]) -> Floats:
        """What the head reads of each row, (R, D) float32; of each word where those are tagged."""
        return self._asked(rows, head=False)

    def outputs(self, rows: Sequence[Tokens]) -> Floats:
        """What the head gives for each row, (R, C) float32; for each word as above."""
        return self._asked(rows, head=True)

    def _asked(self, rows: Sequence[Tokens], *, head: bool) -> Floats:
        self._model.eval()
        if not rows:
            return np.empty((0, self._model.outputs), dtype=np.float32)
        found: dict[int, Floats] = {}
        for run, batch in self._batches(rows):
            with torch.inference_mode():
                values = self._model.features(batch)
                values = self._model.head(values) if head else values
            of_each = self._divided(values.float().cpu().numpy(), [rows[i] for i in run])
            found |= dict(zip(run, of_each, strict=True))
        return np.concatenate([found[i] for i in range(len(rows))])

    def _divided(self, values: Floats, rows: Sequence[Tokens]) -> list[Floats]:
        """What is of each row: one line, or one a word."""
        words = self._model.pooling == "words"
        counts = [int(np.count_nonzero(row.weights_N)) if words else 1 for row in rows]
        return np.split(values, np.cumsum(counts)[:-1])

    def _batches(self, rows: Sequence[Tokens]) -> Iterator[tuple[list[int], Batch]]:
        device = next(self._model.parameters()).device
        share = self._model.shares
        for run in within_budget(rows, self._budget, share):
            yield run, on_device(self._layer([rows[i] for i in run], share), device)
