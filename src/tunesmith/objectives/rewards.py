"""Of two answers to one prompt, the one that people preferred is to get the higher reward.

    −Σ_i log s(r_c − r_r − λ m)  +  c Σ_i (r_c + r_r)²          count = P

with P pairs, r_c and r_r the rewards of the chosen and the rejected answer of pair i, and s the
logistic function: the probability of a choice by Bradley & Terry (1952), as a loss Ouyang et al.
2022, eq. 1. A pair with margin m, by which the chosen answer is said to be better, is learned until
the rewards are that far apart (Touvron et al. 2023, Llama 2, eq. 2; λ scales it). Only differences
are learned, so all rewards of a prompt may drift together; the second term holds their sum near 0
(Eisenstein et al. 2023, Helping or Herding?, §2.1).

Rated answers, scores and steps are learned by `labels`: their rewards stand for themselves.

Shape legend: B answers of a micro-batch, each pair a chosen one directly before the rejected one.
"""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import FeatureModel


class BradleyTerry:
    """The loss of pairs.

    Args:
        margin: λ, in rewards per unit of a row's margin.
        centre: c.
    """

    def __init__(self, margin: float = 1.0, centre: float = 0.0) -> None:
        self._margin = margin
        self._centre = centre

    def loss(self, model: FeatureModel, batch: Batch) -> LossSum:
        """The loss in nats a pair, and how often the chosen answer has the higher reward."""
        rewards_B = model.head(model.features(batch)).float()[:, 0]
        assert batch.parts_B is not None
        assert batch.labels_B is not None
        return self.of_rewards(rewards_B, batch.labels_B, batch.parts_B)

    def of_rewards(
        self, rewards_B: torch.Tensor, margins_B: torch.Tensor, parts_B: torch.Tensor
    ) -> LossSum:
        """The same of rewards that are known; `margins_B` are read at the chosen answers.

        Raises ValueError where the answers are not whole pairs.
        """
        if len(parts_B) % 2 or bool(parts_B[0::2].any()) or not bool(parts_B[1::2].all()):
            raise ValueError(
                "A micro-batch of pairs holds a chosen answer before each rejected one"
            )
        chosen_P, rejected_P = rewards_B[0::2], rewards_B[1::2]
        ahead_P = chosen_P - rejected_P
        loss = -logsigmoid(ahead_P - self._margin * margins_B[0::2]).sum()
        if self._centre:
            loss = loss + self._centre * (chosen_P + rejected_P).square().sum()
        right = float((ahead_P > 0).sum())
        return LossSum(loss, float(len(ahead_P)), {"accuracy": right})
