"""The policy loss: tokens of answers that were better than expected become likelier.

    L = Σ_s w_s [ −min( r_s A_s, clip(r_s, 1 − ε_low, 1 + ε_high) A_s ) + β r_s k_s ]

    r_s = π(y_s) / π_old(y_s), or that of the whole answer, Π over its tokens
    k_s = e^{d_s} − d_s − 1,    d_s = log π_ref(y_s) − log π(y_s)

with A the advantages, π_old the policy that sampled, π_ref the base. The clipped surrogate is eq. 7
of Schulman et al. 2017, PPO; k estimates KL(π ‖ π_ref) without bias and is never negative (Schulman
2020, Approximating KL Divergence, k3; Shao et al. 2024, eq. 4), and with r before it its gradient
has none either (DeepSeek-AI 2025, DeepSeek-V3.2, §3.1). What is clipped, how tokens are
weighted and what the sum is divided by is a line of `variants`.

Where the weights are still those that sampled, π_old is π itself: r = 1, and its gradient is that
of log π. No second pass is made for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import SiteModel
from tunesmith.objectives.late_weights import nll_with_gradient
from tunesmith.objectives.reinforcement.variants import Ratio

# Sites per call of a head that is more than a linear map.
_CHUNK = 512


@dataclass(frozen=True, slots=True)
class PolicyLoss:
    """Shapes: sites S, sequences B.

    `clip_low` and `clip_high` are ε, `kl_weight` is β, `temperature` is what the logits were
    divided by when tokens were sampled.
    """

    ratio: Ratio
    clip_low: float = 0.2
    clip_high: float = 0.2
    kl_weight: float = 0.0
    temperature: float = 1.0

    def loss(self, model: SiteModel, batch: Batch) -> LossSum:
        """The weighted sum, and among the extras the KL and the share that was clipped."""
        return self.of_states(model, model.hidden_at_sites(batch), batch)

    def of_states(self, model: SiteModel, hidden_SD: torch.Tensor, batch: Batch) -> LossSum:
        """The same, of hidden states at the sites that are there already."""
        log_probs_S = log_probs(model, hidden_SD, batch.targets_S, self.temperature)
        ratio_S, extras = self._ratio(log_probs_S, batch), {}
        loss_S, clipped_S = self._surrogate(ratio_S, batch)
        if batch.sampled_S is not None and self.ratio != "unclipped":
            extras["clipped"] = float(clipped_S.float() @ _shares(batch))
        if self.kl_weight:
            assert batch.reference_S is not None
            ahead_S = batch.reference_S - log_probs_S
            kl_S = torch.expm1(ahead_S) - ahead_S
            loss_S = loss_S + self.kl_weight * ratio_S * kl_S
            extras["kl_to_base"] = float(kl_S.detach() @ _shares(batch))
        return LossSum(loss_S @ batch.weights_S, count_of(batch), extras)

    def _ratio(self, log_probs_S: torch.Tensor, batch: Batch) -> torch.Tensor:
        """r of each site."""
        old_S = log_probs_S.detach() if batch.sampled_S is None else batch.sampled_S
        moved_S = log_probs_S - old_S
        if self.ratio == "sequence":
            moved_B = moved_S.new_zeros(len(batch.origins)).index_add(0, batch.owner_S, moved_S)
            moved_S = moved_B[batch.owner_S]
        return moved_S.exp()

    def _surrogate(self, ratio_S: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Minus the clipped surrogate of each site, and where the clip is what counts."""
        assert batch.advantages_S is not None
        free_S = ratio_S * batch.advantages_S
        if self.ratio == "unclipped":
            return -free_S, torch.zeros_like(free_S, dtype=torch.bool)
        within_S = ratio_S.clamp(1 - self.clip_low, 1 + self.clip_high) * batch.advantages_S
        return -torch.minimum(free_S, within_S), within_S < free_S


def log_probs(
    model: SiteModel, hidden_SD: torch.Tensor, targets_S: torch.Tensor, temperature: float
) -> torch.Tensor:
    """log π(y_s) in nats, float32, shape (S,), of logits divided by the temperature.

    Logits exist for one chunk of sites at a time.
    """
    head = model.linear_head
    if head is None:
        chunks = zip(hidden_SD.split(_CHUNK), targets_S.split(_CHUNK), strict=True)
        parts = [
            checkpoint(_of_any_head, model, hidden_CD, targets_C, temperature, use_reentrant=False)
            for hidden_CD, targets_C in chunks
        ]
        return torch.cat(parts) if parts else hidden_SD.new_zeros(0, dtype=torch.float32)
    weight_VD, bias_V = head
    if temperature != 1:
        hidden_SD = hidden_SD / temperature
        bias_V = None if bias_V is None else bias_V / temperature
    return -nll_with_gradient(hidden_SD, (weight_VD, bias_V), targets_S)


def count_of(batch: Batch) -> float:
    """What the batch's sum of losses is divided by."""
    return float(batch.weights_S.sum()) if batch.count is None else batch.count


def _of_any_head(
    model: SiteModel, hidden_CD: torch.Tensor, targets_C: torch.Tensor, temperature: float
) -> torch.Tensor:
    logits_CV = model.head(hidden_CD).float() / temperature
    return -cross_entropy(logits_CV, targets_C, reduction="none")


def _shares(batch: Batch) -> torch.Tensor:
    """What each site adds to a mean over all sites, once the step has divided by the counts."""
    return torch.full_like(batch.weights_S, count_of(batch) / max(1, len(batch.weights_S)))
