"""BCO: a classifier that tells liked answers from disliked ones, whose logit is DPO's reward.

    r(y) = β log( p(y | x) / p_ref(y | x) )        δ = ½ ( mean of r over liked + over disliked )

    l = −log σ(r − δ) if y is liked,        −log σ(δ − r) if it is not

Jung et al. 2024, Binary Classifier Optimization for Large Language Model Alignment: this bounds
DPO's loss from above, the closer the nearer δ is to the rewards that it parts. The paper takes δ
from a moving average over steps; here it is that of the step's own answers, so that a step depends
on its weights and rows alone. Where a step has one of the two kinds, δ is the mean over that.

Shapes: B answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from tunesmith.objectives.preferences.answers import Tensor
from tunesmith.objectives.preferences.rated import DISLIKED, LIKED


@dataclass(frozen=True, slots=True)
class BCO:
    """`beta` is β."""

    beta: float = 0.1

    point_from = frozenset({LIKED, DISLIKED})

    def point(self, reward_B: Tensor, parts_B: Tensor) -> Tensor:
        """δ."""
        kinds = [reward_B[parts_B == kind] for kind in (LIKED, DISLIKED)]
        return torch.stack([each.mean() for each in kinds if len(each)]).mean()

    def of_answers(self, margin_B: Tensor, liked_B: Tensor) -> Tensor:
        """See the head of this file."""
        return -logsigmoid(torch.where(liked_B, margin_B, -margin_B))
