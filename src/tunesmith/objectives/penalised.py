"""A loss with a cost for what the trained weights are, whatever the data.

    L = Σ_s w_s · (l_s + c)        count = Σ_s w_s

so that the step's one division leaves the mean loss plus c, however it is cut into micro-batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from tunesmith.core.batch import LossSum
from tunesmith.core.ports import AcrossMicroBatches, Objective


@dataclass(frozen=True, slots=True)
class Penalised:
    """`objective`, and beside it `penalty`: a scalar with a graph."""

    objective: Objective
    penalty: Callable[[], torch.Tensor]

    def loss(self, model: Any, batch: Any) -> LossSum:
        """The undivided loss of both, and the penalty alone among the extras."""
        found, cost = self.objective.loss(model, batch), self.penalty()
        extras = {**found.extras, "penalty": float(cost.detach()) * found.count}
        return LossSum(found.sum + cost * found.count, found.count, extras)

    def of_step(self, model: Any, batches: Iterable[Any]) -> list[Penalised]:
        """That of each micro-batch, where what it is to learn depends on the others, too."""
        if not isinstance(self.objective, AcrossMicroBatches):
            return [self for _ in batches]
        return [replace(self, objective=each) for each in self.objective.of_step(model, batches)]
