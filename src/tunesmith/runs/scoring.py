"""The Scorer port over a model: rows packed into batches, one Score each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from tunesmith.core.ports import SiteModel
from tunesmith.core.records import Score, Tokens
from tunesmith.models.open import Base
from tunesmith.objectives.cross_entropy import nll_of_batch
from tunesmith.runs.of_sites import Floats, of_each


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
        base = self._base
        base.model.eval()
        nll = partial(nll_of_batch, self._forward)
        found = of_each(nll, examples, self._budget, base.forward.shares, base.model.device)
        return [_score(row, nll_S) for row, nll_S in zip(examples, found, strict=True)]

    def mean_loss(self, examples: Sequence[Tokens]) -> float:
        """Nats per supervised token over all examples."""
        scores = self.score(examples)
        return sum(score.nll for score in scores) / sum(score.count for score in scores)


def _score(row: Tokens, nll_S: Floats) -> Score:
    """Of what its learned tokens cost."""
    weights_S = row.weights_N[1:][row.weights_N[1:] > 0].astype(np.float64)
    nll, count = float(nll_S.astype(np.float64) @ weights_S), float(weights_S.sum())
    return Score(row.origin, nll, count, row.learned_bytes)
