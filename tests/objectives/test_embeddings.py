"""Losses over texts equal plain computations, and do not know where micro-batches end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from tunesmith.core.batch import Batch
from tunesmith.core.records import Origin
from tunesmith.objectives.embeddings import Embeddings, Texts

# Two pairs, a triplet, two pairs: no two texts are equal.
PARTS = (0, 1, 0, 1, 0, 1, 2, 0, 1, 0, 1)
OTHER = tuple(range(len(PARTS)))
NONE = (math.nan,) * len(PARTS)
SCORES = (0.2, math.nan, 3.0, math.nan, 1.0, math.nan, math.nan, 3.0, math.nan, 5.0, math.nan)


class _Table:
    """A text's features are a row of a table, mixed by a matrix that is trained."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.table = torch.randn(len(PARTS), 6)
        self.weight = torch.eye(6).add(0.1 * torch.randn(6, 6)).requires_grad_()

    def features(self, batch: Batch) -> torch.Tensor:
        return self.table[batch.tokens_T] @ self.weight

    def head(self, features_BD: torch.Tensor) -> torch.Tensor:
        return features_BD

    @property
    def unit(self) -> torch.Tensor:
        return normalize(self.table @ self.weight, dim=1)


def _batch(
    start: int, end: int, texts: Sequence[int] = OTHER, scores: Sequence[float] = NONE
) -> Batch:
    none, some = np.empty(0), slice(start, end)
    return Batch(
        tokens_T=torch.arange(start, end),
        positions_T=none,
        segments=(),
        sites_S=none,
        targets_S=none,
        weights_S=none,
        owner_S=none,
        origins=tuple(Origin("a", n + 1) for n in range(start, end)),
        labels_B=torch.tensor(scores[some]),
        parts_B=torch.tensor(PARTS[some]),
        texts_B=torch.tensor(texts[some]),
    )


def _gradient(model: _Table, loss: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, model.weight)[0]


def test_it_is_cross_entropy_over_all_other_texts() -> None:
    model, tau = _Table(), 0.1
    loss = Embeddings(tau).loss(model, _batch(0, len(PARTS)))
    anchors, others = [0, 2, 4, 7, 9], [1, 3, 5, 6, 8, 10]
    scores = model.unit[anchors] @ model.unit[others].T / tau
    wanted = cross_entropy(scores, torch.tensor([0, 1, 2, 4, 5]), reduction="sum")
    assert loss.count == 5
    torch.testing.assert_close(loss.sum, wanted)
    torch.testing.assert_close(_gradient(model, loss.sum), _gradient(model, wanted))


def test_symmetric_is_the_mean_of_both_directions() -> None:
    model, tau = _Table(), 0.1
    loss = Embeddings(tau, symmetric=True).loss(model, _batch(0, len(PARTS)))
    anchors, positives, others = [0, 2, 4, 7, 9], [1, 3, 5, 8, 10], [1, 3, 5, 6, 8, 10]
    there = model.unit[anchors] @ model.unit[others].T / tau
    back = model.unit[positives] @ model.unit[anchors].T / tau
    wanted = cross_entropy(there, torch.tensor([0, 1, 2, 4, 5]), reduction="sum")
    wanted = (wanted + cross_entropy(back, torch.arange(5), reduction="sum")) / 2
    torch.testing.assert_close(loss.sum, wanted)


@pytest.mark.parametrize(
    ("texts", "hidden"),
    [
        # The second anchor equals the first: each one's positive is right for the other, too.
        ((0, 1, 0, 3, 4, 5, 6, 7, 8, 9, 10), {(0, 1), (1, 0)}),
        # The positives of rows 0 and 3 are equal, and so each is right for both.
        ((0, 1, 2, 3, 4, 5, 6, 7, 1, 9, 10), {(0, 4), (3, 0)}),
        # The negative of the triplet is the anchor of row 4 itself.
        ((0, 1, 2, 3, 4, 5, 9, 7, 8, 9, 10), {(4, 3)}),
    ],
)
def test_what_is_right_is_no_negative(texts: tuple[int, ...], hidden: set[Any]) -> None:
    model, tau = _Table(), 0.1
    loss = Embeddings(tau).loss(model, _batch(0, len(PARTS), texts))
    scores = model.unit[[0, 2, 4, 7, 9]] @ model.unit[[1, 3, 5, 6, 8, 10]].T / tau
    for row, column in hidden:
        scores[row, column] = -torch.inf
    wanted = cross_entropy(scores, torch.tensor([0, 1, 2, 4, 5]), reduction="sum")
    torch.testing.assert_close(loss.sum, wanted)


def test_scored_pairs_are_ranked() -> None:
    model, tau = _Table(), 0.05
    loss = Embeddings(tau, scored=True).loss(model, _batch(0, len(PARTS), scores=SCORES))
    pairs = [(0, 1), (2, 3), (4, 5), (7, 8), (9, 10)]
    cosine = [model.unit[a] @ model.unit[b] for a, b in pairs]
    above = [
        (i, j) for i in range(5) for j in range(5) if SCORES[pairs[i][0]] > SCORES[pairs[j][0]]
    ]
    terms = sum(torch.exp((cosine[j] - cosine[i]) / tau) for i, j in above)
    assert len(above) == 9, "two have the same score"
    torch.testing.assert_close(loss.sum, 5 * torch.log(1 + torch.as_tensor(terms)))


@pytest.mark.parametrize("ends", [(0, 2, 4, 7, 9, 11), (0, 5, 8, 11), (0, 1, 6, 11)])
@pytest.mark.parametrize(
    "how", [{}, {"symmetric": True}, {"scored": True}], ids=["one way", "both", "scored"]
)
def test_micro_batches_give_the_gradient_of_the_whole_step(
    how: dict[str, bool], ends: tuple[int, ...]
) -> None:
    """Also where the texts of a row stand in two of them."""
    model, objective = _Table(), Embeddings(0.05, **how)
    texts, scores = (0, 1, 0, 3, 4, 5, 6, 7, 1, 9, 10), SCORES
    whole = objective.loss(model, _batch(0, len(PARTS), texts, scores))
    parts = [_batch(a, b, texts, scores) for a, b in pairwise(ends)]
    losses = [
        each.loss(model, part)
        for each, part in zip(objective.of_step(model, iter(parts)), parts, strict=True)
    ]
    gradient = sum(_gradient(model, loss.sum) for loss in losses)
    torch.testing.assert_close(gradient, _gradient(model, whole.sum))
    assert sum(loss.count for loss in losses) == whole.count == 5
    values = [float(loss.sum.detach()) for loss in losses]
    assert sum(values) == pytest.approx(float(whole.sum.detach()), rel=1e-5)


def test_a_row_cut_at_an_end_is_left_out() -> None:
    batch = _batch(1, 10)
    assert Texts.of([batch]).anchors().tolist() == [1, 3, 6]
    alone = Embeddings(0.1).loss(_Table(), _batch(1, 3))
    assert (float(alone.sum.detach()), alone.count) == (0.0, 0.0)
