"""A loss of answers that were rated one by one, over a batch: rewards against a point of reference.

    r(y) = β log( p(y | x) / p_ref(y | x) )        L = Σ_i l(r_i − z)        count = answers

The point z is one number for the whole step, made of log-ratios and without a gradient. Where some
of them are in other micro-batches, or of sequences that are not learned, these are computed first,
without a graph and without the tokens that only others need. `Batch.parts_B` is 0 for a liked
answer, 1 for a disliked one, and 2 for a question with the answer to another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import SiteModel
from tunesmith.objectives.preferences.answers import Answers, Tensor, answers_of, totals
from tunesmith.objectives.preferences.kept import only

LIKED, DISLIKED, MISMATCHED = 0, 1, 2


class RatedLoss(Protocol):
    """A page of this room. `beta` is β, and `point_from` the parts of a batch that make z."""

    @property
    def beta(self) -> float: ...
    @property
    def point_from(self) -> frozenset[int]: ...

    def point(self, reward_B: Tensor, parts_B: Tensor) -> Tensor:
        """z, of the rewards of all answers of a step in `point_from`; a scalar."""
        ...

    def of_answers(self, margin_B: Tensor, liked_B: Tensor) -> Tensor:
        """The loss of each answer, (B,), of r − z."""
        ...


class Rated:
    """The objective of a RatedLoss. `point` is that of the step, None where it is not known yet."""

    def __init__(self, rule: RatedLoss, point: Tensor | None = None) -> None:
        self._rule = rule
        self._point = point

    @torch.no_grad()
    def of_step(self, model: SiteModel, batches: Iterable[Batch]) -> list[Rated]:
        """The objective of each micro-batch of a step: all have one point."""
        rewards: list[Tensor] = []
        parts: list[Tensor] = []
        count = 0
        for batch in batches:
            count += 1
            looked_at, parts_B = _having(batch, self._rule.point_from)
            if len(parts_B):
                rewards.append(self._rewards(answers_of(model, looked_at)))
                parts.append(parts_B)
        return [Rated(self._rule, self._point_of(rewards, parts))] * count

    def loss(self, model: SiteModel, batch: Batch) -> LossSum:
        """The sum over the answers, and their number; what is reported are sums, too."""
        if self._point is None and MISMATCHED in self._rule.point_from:
            return self.of_step(model, [batch])[0].loss(model, batch)
        learned, parts_B = _having(batch, (LIKED, DISLIKED))
        if not len(parts_B):
            return LossSum(torch.zeros((), device=parts_B.device, requires_grad=True), 0.0)
        answers, liked_B = answers_of(model, learned), parts_B == LIKED
        reward_B = self._rewards(answers)
        point = self._point
        if point is None:
            point = self._point_of([reward_B.detach()], [parts_B])
        margin_B = reward_B - point
        loss = self._rule.of_answers(margin_B, liked_B).sum()
        return LossSum(loss, float(len(liked_B)), _extras(margin_B, liked_B, answers, point))

    def _rewards(self, answers: Answers) -> Tensor:
        return self._rule.beta * answers.log_ratio

    def _point_of(self, rewards: list[Tensor], parts: list[Tensor]) -> Tensor:
        if not rewards:
            return torch.zeros(())
        return self._rule.point(torch.cat(rewards), torch.cat(parts))


def _having(batch: Batch, parts: Iterable[int]) -> tuple[Batch, Tensor]:
    """The sequences of a batch that are one of these parts, and which each of them is, (B,)."""
    parts_B: Tensor | None = batch.parts_B
    assert parts_B is not None, "this loss needs Batch.parts_B"
    chosen_B = torch.isin(parts_B, torch.tensor(list(parts), device=parts_B.device))
    return (only(batch, chosen_B) if bool(chosen_B.any()) else batch), parts_B[chosen_B]


def _extras(margin_B: Tensor, liked_B: Tensor, answers: Answers, point: Tensor) -> dict[str, float]:
    """`reward_margin` is how far answers are on their side of the point, `point` the point."""
    signed_B = torch.where(liked_B, margin_B, -margin_B)
    return totals(
        {
            "reward_margin": signed_B,
            "accuracy": signed_B > 0,
            "log_p": answers.log_p,
            "point": point.expand(len(liked_B)).to(margin_B.device),
            "liked": liked_B,
        }
    )
