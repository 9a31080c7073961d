"""The Scorer port over a model: rows packed into batches, one Score each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from tunesmith.core.batch import Batch
from tunesmith.core.ports import SiteModel
from tunesmith.core.records import Score, Tokens
from tunesmith.models.open import Base
from tunesmith.objectives.cross_entropy import nll_and_likeliest, nll_of_batch
from tunesmith.runs.of_sites import Floats, OfSites, of_each


class ModelScorer:
    """Scores with `base` as it stands: with its adapter, if one is attached.

    `forward` is the way through the model, by default the base's own.
    """

    def __init__(self, base: Base, tokens_per_batch: int, forward: SiteModel | None = None) -> None:
        self._base = base
        self._budget = tokens_per_batch
        self._forward = forward or base.forward

    def score(self, examples: Sequence[Tokens]) -> list[Score]:
        """One Score an example, in order. Nats, summed over its weighted tokens."""
        return self._scored(partial(nll_of_batch, self._forward), examples)

    def _scored(self, nll: OfSites, examples: Sequence[Tokens]) -> list[Score]:
        base = self._base
        base.model.eval()
        found = of_each(nll, examples, self._budget, base.forward.shares, base.model.device)
        return [_score(row, nll_S) for row, nll_S in zip(examples, found, strict=True)]

    def mean_loss(self, examples: Sequence[Tokens]) -> tuple[float, float | None]:
        """Nats per supervised token over all examples, and the share of these tokens, by weight,
        that no other is likelier than; None where the model has no linear head."""
        right: list[float] = []

        def nll(batch: Batch) -> torch.Tensor:
            nll_S, likeliest_S = nll_and_likeliest(self._forward, batch)
            if likeliest_S is not None:
                right.append(float(likeliest_S @ batch.weights_S))
            return nll_S

        scores = self._scored(nll, examples)
        count = sum(score.count for score in scores)
        return sum(score.nll for score in scores) / count, sum(right) / count if right else None


def _score(row: Tokens, nll_S: Floats) -> Score:
    """Of what its learned tokens cost."""
    weights_S = row.weights_N[1:][row.weights_N[1:] > 0].astype(np.float64)
    nll, count = float(nll_S.astype(np.float64) @ weights_S), float(weights_S.sum())
    return Score(row.origin, nll, count, row.learned_bytes)
