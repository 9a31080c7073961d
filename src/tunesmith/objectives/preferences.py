"""DPO: the better of two answers is to gain on the base more than the worse (Rafailov et al. 2023).

L = −Σ_i log s(β (r_c − r_r)),  r = Σ_s log p(y_s) − log p_ref(y_s)        count = pairs
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy, logsigmoid

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import Objective, SiteModel


class Dpo:
    """Sequences 2i and 2i + 1 of a batch are the better and the worse answer of pair i."""

    def __init__(self, beta: float) -> None:
        self._beta = beta

    def loss(self, model: SiteModel, batch: Batch) -> LossSum:
        """The undivided loss, and how many pairs are right by what margin."""
        logits_SV = model.head(model.hidden_at_sites(batch)).float()
        nll_S = cross_entropy(logits_SV, batch.targets_S, reduction="none")
        gained_S = (-nll_S - batch.reference_S) * batch.weights_S
        none_B = torch.zeros(len(batch.origins), device=nll_S.device)
        reward_B = self._beta * none_B.index_add(0, batch.owner_S, gained_S)
        margin_P = reward_B[0::2] - reward_B[1::2]
        told = {"accuracy": float((margin_P > 0).sum()), "margin": float(margin_P.detach().sum())}
        return LossSum(-logsigmoid(margin_P).sum(), float(len(margin_P)), told)


def preference_objective(kind: str, settings: Any) -> Objective:
    """The objective of a kind."""
    return Dpo(settings.beta)
