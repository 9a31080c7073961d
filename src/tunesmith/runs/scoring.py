"""The Scorer port over a model: rows packed into batches, one Score each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from tunesmith.core.batch import Batch
from tunesmith.core.records import Score, Tokens
from tunesmith.data.pack import pack, within_budget
from tunesmith.engine.loop import on_device
from tunesmith.models.open import Base

CHUNK = 1024
"""Sites whose logits exist at one time."""


class ModelScorer:
    """Scores with `base` as it stands: with its adapter, if one is attached."""

    def __init__(self, base: Base, tokens_per_batch: int) -> None:
        self._base = base
        self._budget = tokens_per_batch

    def score(self, examples: Sequence[Tokens]) -> list[Score]:
        """One Score an example, in order. Nats, summed over its weighted tokens."""
        self._base.model.eval()
        scores: list[Score] = []
        for run in within_budget(examples, self._budget):
            batch = on_device(pack(run), self._base.model.device)
            nll_S = self._nll(batch).cpu().double().numpy()
            weights_S = batch.weights_S.cpu().double().numpy()
            owner_S = batch.owner_S.cpu().numpy()
            nll = np.bincount(owner_S, nll_S * weights_S, minlength=len(run))
            count = np.bincount(owner_S, weights_S, minlength=len(run))
            scores += [
                Score(example.origin, float(nll[i]), float(count[i]), example.learned_bytes)
                for i, example in enumerate(run)
            ]
        return scores

    def mean_loss(self, examples: Sequence[Tokens]) -> float:
        """Nats per supervised token over all examples."""
        scores = self.score(examples)
        return sum(score.nll for score in scores) / sum(score.count for score in scores)

    @torch.inference_mode()
    def _nll(self, batch: Batch) -> torch.Tensor:
        forward = self._base.forward
        hidden_SD = forward.hidden_at_sites(batch)
        return torch.cat(
            [
                cross_entropy(forward.head(hidden).float(), targets, reduction="none")
                for hidden, targets in zip(
                    hidden_SD.split(CHUNK), batch.targets_S.split(CHUNK), strict=True
                )
            ]
        )
