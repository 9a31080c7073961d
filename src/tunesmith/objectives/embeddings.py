"""Texts that belong together come near each other: a loss over all texts of a step.

    pairs, triplets   −Σ_i log ( e^{s(a_i, p_i)/τ} / Σ_{c ∈ C_i} e^{s(a_i, c)/τ} )        count = R
    scored pairs      R · log ( 1 + Σ_{i,j: y_i > y_j} e^{(s_j − s_i)/τ} )                count = R

with R rows, s the cosine of two embeddings, and τ the temperature. C_i holds the positive of row i
and, as negatives, the positives and negatives of all rows of the step (van den Oord et al. 2018,
eq. 4; Henderson et al. 2017, §4): the more rows a step has, the harder it is. A text that equals
the anchor, or a positive of an equal anchor, is no negative. The symmetric loss is the mean of this
one and that of the positives, each among all anchors (Radford et al. 2021, figure 3). The second
line is CoSENT (Su 2022): pairs of a higher score shall be nearer, so scores need no scale.

Negatives stand in other micro-batches, too. Their embeddings are computed without a graph first,
and the loss's gradient by each of them; then each micro-batch is computed again, and the gradient
goes on from its own embeddings (Gao et al. 2021, GradCache, §3.2). That is the gradient of one
large batch, at the memory of a small one and for one forward pass more.

Shape legend: B texts of a micro-batch or of a step, R rows, C candidates, D width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy, normalize

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import FeatureModel

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Texts:
    """What is known of texts beside their embeddings: part of the row, equality, score (each B).

    Rows lie end to end, each from its part 0 on; a row cut at either end is left out.
    """

    parts_B: Tensor
    texts_B: Tensor
    scores_B: Tensor

    @classmethod
    def of(cls, batches: Sequence[Batch]) -> Texts:
        """Those of some micro-batches, in order."""
        fields: list[list[Any]] = [[b.parts_B, b.texts_B, b.labels_B] for b in batches]
        return cls(*(torch.cat(column) for column in zip(*fields, strict=True)))

    def anchors(self) -> Tensor:
        """Where each row begins whose positive is there, too (R); that stands right behind."""
        return torch.nonzero((self.parts_B[:-1] == 0) & (self.parts_B[1:] == 1))[:, 0]


class Embeddings:
    """One of the two losses.

    Args:
        temperature: τ.
        symmetric: positives are to find their anchors, too.
        scored: rows have scores.
    """

    def __init__(
        self, temperature: float, *, symmetric: bool = False, scored: bool = False
    ) -> None:
        self._temperature = temperature
        self._symmetric = symmetric
        self._scored = scored

    def loss(self, model: FeatureModel, batch: Batch) -> LossSum:
        """The loss of a step that is this one micro-batch."""
        return self.of_texts(self.embed(model, batch), Texts.of([batch]))

    def of_step(self, model: FeatureModel, batches: Iterable[Batch]) -> list[CachedStep]:
        """The loss of each micro-batch of a step, given all of them: see the head of this file."""
        embedded: list[Tensor] = []
        known: list[Texts] = []
        with torch.no_grad():
            for batch in batches:
                embedded.append(self.embed(model, batch))
                known.append(Texts.of([batch]))
        for each in embedded:
            each.requires_grad_()
        fields = ("parts_B", "texts_B", "scores_B")
        whole = Texts(*(torch.cat([getattr(each, name) for each in known]) for name in fields))
        loss = self.of_texts(torch.cat(embedded), whole)
        gradients = torch.autograd.grad(loss.sum, embedded)
        value, rows = float(loss.sum.detach()), max(loss.count, 1.0)
        sizes = torch.tensor([len(each) for each in embedded])
        micro_R = torch.bucketize(whole.anchors().cpu(), sizes.cumsum(0), right=True)
        counts = torch.bincount(micro_R, minlength=len(sizes)).tolist()
        return [
            CachedStep(self, gradient, value * count / rows, float(count))
            for gradient, count in zip(gradients, counts, strict=True)
        ]

    def embed(self, model: FeatureModel, batch: Batch) -> Tensor:
        """What each text becomes, at length 1: (B, D) float32."""
        return normalize(model.head(model.features(batch)).float(), dim=1)

    def of_texts(self, unit_BD: Tensor, texts: Texts) -> LossSum:
        """The undivided loss in nats, and the number of rows."""
        anchor_R = texts.anchors()
        if not len(anchor_R):
            return LossSum(unit_BD.sum() * 0.0, 0.0)
        loss = self._ranked if self._scored else self._contrast
        return LossSum(loss(unit_BD, texts, anchor_R), float(len(anchor_R)))

    def _ranked(self, unit_BD: Tensor, texts: Texts, anchor_R: Tensor) -> Tensor:
        """CoSENT."""
        cosine_R = (unit_BD[anchor_R] * unit_BD[anchor_R + 1]).sum(1) / self._temperature
        score_R = texts.scores_B[anchor_R]
        above_RR = score_R[:, None] > score_R[None]
        differences = (cosine_R[None] - cosine_R[:, None])[above_RR]
        return torch.logsumexp(torch.cat([differences.new_zeros(1), differences]), 0) * len(
            anchor_R
        )

    def _contrast(self, unit_BD: Tensor, texts: Texts, anchor_R: Tensor) -> Tensor:
        """InfoNCE with every other text of the step."""
        candidate_C = torch.nonzero(texts.parts_B > 0)[:, 0]
        own_R = torch.searchsorted(candidate_C, anchor_R + 1)
        known = texts.texts_B
        good_RC = _equal(known[anchor_R + 1], known[candidate_C])
        alike_RR = _equal(known[anchor_R], known[anchor_R])
        # Of another row with this anchor, too, the positive is right.
        good_RC = (alike_RR.float() @ good_RC.float()) > 0
        itself_RC = _equal(known[anchor_R], known[candidate_C])
        scores_RC = unit_BD[anchor_R] @ unit_BD[candidate_C].T / self._temperature
        loss = _chosen(scores_RC, own_R, good_RC | itself_RC)
        if not self._symmetric:
            return loss
        hidden_RR = (good_RC | itself_RC)[:, own_R].T
        rows = torch.arange(len(anchor_R), device=unit_BD.device)
        return (loss + _chosen(scores_RC[:, own_R].T, rows, hidden_RR)) / 2


class CachedStep:
    """One micro-batch of a step whose loss is known, with its gradient by each embedding (B, D).

    `value` is the micro-batch's share of the loss, `count` that of the rows.
    """

    def __init__(
        self, objective: Embeddings, gradient_BD: Tensor, value: float, count: float
    ) -> None:
        self._objective = objective
        self._gradient_BD = gradient_BD
        self._value = value
        self._count = count

    def loss(self, model: FeatureModel, batch: Batch) -> LossSum:
        """A sum of that value whose gradient by the weights is the whole step's."""
        unit_BD = self._objective.embed(model, batch)
        linear = (unit_BD * self._gradient_BD).sum()
        return LossSum(linear - linear.detach() + self._value, self._count)


def _equal(left_R: Tensor, right_C: Tensor) -> Tensor:
    return left_R[:, None] == right_C[None]


def _chosen(scores_RC: Tensor, own_R: Tensor, hidden_RC: Tensor) -> Tensor:
    """−Σ log of what falls to its own candidate, those that are hidden left out (but never it)."""
    own_RC = torch.zeros_like(hidden_RC).scatter(1, own_R[:, None], value=True)
    shown_RC = scores_RC.masked_fill(hidden_RC & ~own_RC, -torch.inf)
    return cross_entropy(shown_RC, own_R, reduction="sum")
