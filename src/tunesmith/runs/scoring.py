"""The Scorer port over a model: rows packed into batches, one Score each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tunesmith.core.ports import SiteModel
from tunesmith.core.records import Score, Tokens
from tunesmith.data.pack import pack, within_budget
from tunesmith.engine.loop import on_device
from tunesmith.models.open import Base
from tunesmith.objectives.cross_entropy import nll_of_batch


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
        self._base.model.eval()
        scores: dict[int, Score] = {}
        share = self._base.forward.shares
        for run in within_budget(examples, self._budget, share):
            rows = [examples[i] for i in run]
            batch = on_device(pack(rows, share), self._base.model.device)
            with torch.inference_mode():
                nll_S = nll_of_batch(self._forward, batch).cpu().double().numpy()
            weights_S = batch.weights_S.cpu().double().numpy()
            owner_S = batch.owner_S.cpu().numpy()
            nll = np.bincount(owner_S, nll_S * weights_S, minlength=len(run))
            count = np.bincount(owner_S, weights_S, minlength=len(run))
            for i, row in enumerate(rows):
                scores[run[i]] = Score(
                    row.origin, float(nll[i]), float(count[i]), row.learned_bytes
                )
        return [scores[i] for i in range(len(examples))]

    def mean_loss(self, examples: Sequence[Tokens]) -> float:
        """Nats per supervised token over all examples."""
        scores = self.score(examples)
        return sum(score.nll for score in scores) / sum(score.count for score in scores)
