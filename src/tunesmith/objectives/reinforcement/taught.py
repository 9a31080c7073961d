"""Learning from grades and from a teacher at once, on the answers that the student itself gave.

    L = (1 − a) L_policy + a T² Σ_s w_s KL_s        KL_s of the whole predictions at a sampled token

Agarwal et al. 2024, On-Policy Distillation of Language Models (GKD), eq. 3 and 5: with a = 1 grades
are learned from no more, and the student learns where its own answers lead it, which no text of the
teacher's shows. Sampled tokens are taken as they are: no gradient goes through the sampling (§3.1).
The way of the divergence is the recipe's; w are the weights of the policy's loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import SiteModel
from tunesmith.objectives.distillation import Distillation
from tunesmith.objectives.reinforcement.policy import PolicyLoss, count_of


@dataclass(frozen=True, slots=True)
class TaughtPolicy:
    """`policy`, and `distillation`, which looks at no token, at `share` (a, 0 to 1) beside it."""

    policy: PolicyLoss
    distillation: Distillation
    share: float

    def loss(self, model: SiteModel, batch: Batch) -> LossSum:
        """The undivided loss of both, and the weighted sum of the KL among the extras."""
        return self.of_states(model, model.hidden_at_sites(batch), batch)

    def of_states(self, model: SiteModel, hidden_SD: torch.Tensor, batch: Batch) -> LossSum:
        """The same, of hidden states at the sites that are there already."""
        taught = self.distillation.of_states(model, hidden_SD, batch)
        if self.share == 1:
            return LossSum(taught.sum, count_of(batch), taught.extras)
        graded = self.policy.of_states(model, hidden_SD, batch)
        total = (1 - self.share) * graded.sum + self.share * taught.sum
        return LossSum(total, graded.count, {**graded.extras, **taught.extras})
