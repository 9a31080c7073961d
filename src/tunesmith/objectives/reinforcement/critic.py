"""PPO's loss: the policy's, and that of a critic, which learns what to expect of an answer begun.

    L = L_policy + c · ½ Σ_s w_s max( (V_s − R_s)², (V'_s − R_s)² )

    V'_s = V_old + clip(V_s − V_old, −ε_v, ε_v)

with V_s a linear map of the policy's own hidden state at s, R_s what came (Schulman et al. 2017,
PPO, eq. 9; the clip of the values is of its published code). Both terms are divided by the same
count. No second body is held: the critic is D + 1 numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import SiteModel
from tunesmith.objectives.reinforcement.policy import PolicyLoss


class CriticModel(SiteModel, Protocol):
    """A model that writes and says what it expects."""

    def value(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """The return expected at each site, float32, shape (S,)."""
        ...


@dataclass(frozen=True, slots=True)
class ActorCriticLoss:
    """`policy`, and the critic's loss at `weight` beside it; `clip` is ε_v."""

    policy: PolicyLoss
    weight: float
    clip: float

    def loss(self, model: CriticModel, batch: Batch) -> LossSum:
        """The undivided loss of both, and the critic's alone among the extras."""
        hidden_SD = model.hidden_at_sites(batch)
        found = self.policy.of_states(model, hidden_SD, batch)
        assert batch.values_S is not None
        assert batch.returns_S is not None
        value_S = model.value(hidden_SD)
        near_S = batch.values_S + (value_S - batch.values_S).clamp(-self.clip, self.clip)
        errors_S = torch.maximum((value_S - batch.returns_S) ** 2, (near_S - batch.returns_S) ** 2)
        error = 0.5 * (errors_S @ batch.weights_S)
        extras = {**found.extras, "value_loss": float(error.detach())}
        return LossSum(found.sum + self.weight * error, found.count, extras)
