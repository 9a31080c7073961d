"""The held-out loss of a run that learns from comparisons: by it the weights are chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import AcrossMicroBatches, Objective, SiteModel
from tunesmith.core.records import Tokens
from tunesmith.data.pack import within_budget
from tunesmith.engine.loop import on_device
from tunesmith.models.open import Base


class HeldOutLoss:
    """The mean of the training loss over some rows, without a gradient.

    Args:
        base: the model that is trained.
        forward: the way through it.
        objective: the loss.
        rows: the answers of some rows, those of a row side by side.
        lay: makes a batch of them.
        budget: tokens computed at once.
    """

    def __init__(
        self,
        base: Base,
        forward: SiteModel,
        objective: Objective,
        rows: Sequence[Tokens],
        lay: Callable[[Sequence[Tokens], bool], Batch],
        budget: int,
    ) -> None:
        self._base = base
        self._forward = forward
        self._objective = objective
        self.token_accuracy: float | None = None  # answers are compared, not their tokens
        share = base.forward.shares
        runs = within_budget(rows, budget, share, whole=True)
        self._batches = [lay([rows[number] for number in run], share) for run in runs]

    @torch.no_grad()
    def __call__(self) -> float:
        """In the unit of the training loss."""
        self._base.model.eval()
        total: Any = LossSum(0.0, 0.0)
        for objective, batch in zip(self._objectives(), self._ready(), strict=True):
            total = total.plus(objective.loss(self._forward, batch))
        return float(total.sum) / total.count

    def _objectives(self) -> Sequence[Objective]:
        """That of each batch: they are one step."""
        if isinstance(self._objective, AcrossMicroBatches):
            return self._objective.of_step(self._forward, self._ready())
        return [self._objective] * len(self._batches)

    def _ready(self) -> Iterator[Batch]:
        return (on_device(batch, self._base.model.device) for batch in self._batches)
