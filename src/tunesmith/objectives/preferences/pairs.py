"""A loss of pairs, one answer preferred to the other, over a batch; and beside it cross entropy.

    L = Σ_i l(y_w, y_l)_i + α · (P / T) · Σ_{s ∈ y_w} w_s (−log p_s)        count = P

with P pairs, and T tokens in their preferred answers. Divided by the pairs of a step, that is the
mean of l, and α times the mean cross entropy of the preferred tokens: each weighs the same, however
the pairs are cut into micro-batches, for P / T is that of the whole step. Sequences 2i and 2i + 1
of a batch are the preferred answer and the other of pair i.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import SiteModel
from tunesmith.objectives.preferences.answers import Answers, Tensor, answers_of, tokens_of, totals

CHOSEN, REJECTED = slice(0, None, 2), slice(1, None, 2)


@dataclass(frozen=True, slots=True)
class Judged:
    """The loss of each pair, and the reward that it holds each of both answers worth, all (P,)."""

    loss: Tensor
    chosen: Tensor
    rejected: Tensor


class PairLoss(Protocol):
    """A page of this room: the loss of pairs. `sft` is α of the cross entropy beside it."""

    @property
    def sft(self) -> float: ...

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Judged:
        """The loss of each pair, undivided, in nats."""
        ...


class Pairwise:
    """The objective of a PairLoss.

    `pairs_per_token` is P / T of the step, None for a step that is one micro-batch.
    """

    def __init__(self, rule: PairLoss, pairs_per_token: float | None = None) -> None:
        self._rule = rule
        self._pairs_per_token = pairs_per_token

    def of_step(self, model: SiteModel, batches: Iterable[Batch]) -> list[Pairwise]:
        """The objective of each micro-batch of a step; no model is run for it."""
        counts = [
            (len(batch.origins) / 2, float(tokens_of(batch)[CHOSEN].sum())) for batch in batches
        ]
        pairs, tokens = map(sum, zip(*counts, strict=True))
        return [Pairwise(self._rule, pairs / tokens)] * len(counts)

    def loss(self, model: SiteModel, batch: Batch) -> LossSum:
        """The sum over the pairs, and their number; rewards and the rest are sums, too."""
        answers = answers_of(model, batch)
        chosen, rejected = answers.where(CHOSEN), answers.where(REJECTED)
        judged = self._rule.of_pairs(chosen, rejected)
        extras = _extras(judged, chosen, rejected)
        total, pairs = judged.loss.sum(), len(judged.loss)
        if self._rule.sft:
            per_token = self._pairs_per_token or pairs / float(chosen.tokens.sum())
            cross_entropy = -chosen.log_p.sum() * per_token
            total = total + self._rule.sft * cross_entropy
            extras["nll_chosen"] = float(cross_entropy.detach())
        return LossSum(total, float(pairs), extras)


def _extras(judged: Judged, chosen: Answers, rejected: Answers) -> dict[str, float]:
    return totals(
        {
            "reward_chosen": judged.chosen,
            "reward_rejected": judged.rejected,
            "reward_margin": judged.chosen - judged.rejected,
            "accuracy": judged.chosen > judged.rejected,
            "log_p_chosen": chosen.log_p,
            "log_p_rejected": rejected.log_p,
        }
    )
