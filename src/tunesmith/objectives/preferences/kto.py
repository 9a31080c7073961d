"""KTO: what an answer gains or loses against a point of reference, as prospect theory values it.

    r(y) = β log( p(y | x) / p_ref(y | x) )        z = max(0, mean of r(y') over mismatched y')

    l = λ_D (1 − σ(r − z)) if y is liked,        λ_U (1 − σ(z − r)) if it is not

Ethayarajh et al. 2024, KTO: Model Alignment as Prospect Theoretic Optimization, eq. 7 and 8. z / β
is the KL of the tuned model from the reference, estimated with answers y' to other questions: what
they gained is no merit of theirs. λ set off classes of unequal size: λ_D n_D / λ_U n_U is to be 1
to 4/3. Without mismatched answers in a step z is 0.

Shapes: B answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tunesmith.objectives.preferences.answers import Tensor
from tunesmith.objectives.preferences.rated import MISMATCHED


@dataclass(frozen=True, slots=True)
class KTO:
    """`beta` is β, `liked` and `disliked` are λ_D and λ_U."""

    beta: float = 0.1
    liked: float = 1.0
    disliked: float = 1.0

    point_from = frozenset({MISMATCHED})

    def point(self, reward_B: Tensor, parts_B: Tensor) -> Tensor:
        """z, from mismatched answers alone."""
        return reward_B.mean().clamp(min=0)

    def of_answers(self, margin_B: Tensor, liked_B: Tensor) -> Tensor:
        """See the head of this file; 1 − σ(m) = σ(−m)."""
        gained_B = self.liked * torch.sigmoid(-margin_B)
        return torch.where(liked_B, gained_B, self.disliked * torch.sigmoid(margin_B))
