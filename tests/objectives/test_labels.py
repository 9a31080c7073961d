"""The losses over labels equal PyTorch's, and add up over micro-batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from tunesmith.core.batch import Batch
from tunesmith.core.records import Origin
from tunesmith.objectives.labels import Labels


class _Linear:
    """Features are given, the head is a matrix."""

    def __init__(self, features_BD: torch.Tensor, outputs: int) -> None:
        self.features_BD = features_BD
        self.weight = torch.randn(outputs, features_BD.shape[1], requires_grad=True)

    def features(self, batch: Batch) -> torch.Tensor:
        return self.features_BD[batch.tokens_T]

    def head(self, features_BD: torch.Tensor) -> torch.Tensor:
        return features_BD @ self.weight.T


def _batch(rows: Any, labels: Any) -> Batch:
    none = np.empty(0)
    origins = tuple(Origin("a", int(row) + 1) for row in rows)
    return Batch(rows, none, (), none, labels, none, none, origins, labels_B=labels)


CLASSES = torch.tensor([0, 2, 1, 2, 2])
WEIGHTS = (0.5, 3.0, 1.5)


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_one_label_is_weighted_cross_entropy(weights: Any, words: bool) -> None:
    torch.manual_seed(0)
    model = _Linear(torch.randn(5, 4), 3)
    loss = Labels("single_label", weights, words=words).loss(
        model, _batch(torch.arange(5), CLASSES)
    )
    given = None if weights is None else torch.tensor(weights)
    wanted = cross_entropy(model.features_BD @ model.weight.T, CLASSES, given)
    assert float((loss.sum / loss.count).detach()) == pytest.approx(
        float(wanted.detach()), abs=1e-6
    )
    (gradient,) = torch.autograd.grad(loss.sum / loss.count, model.weight)
    (reference,) = torch.autograd.grad(wanted, model.weight)
    torch.testing.assert_close(gradient, reference, atol=1e-6, rtol=1e-5)


def test_smoothing_is_pytorchs() -> None:
    torch.manual_seed(0)
    model = _Linear(torch.randn(5, 4), 3)
    loss = Labels("single_label", smoothing=0.1).loss(model, _batch(torch.arange(5), CLASSES))
    wanted = cross_entropy(model.features_BD @ model.weight.T, CLASSES, label_smoothing=0.1)
    assert float((loss.sum / loss.count).detach()) == pytest.approx(
        float(wanted.detach()), abs=1e-6
    )


def test_several_labels_and_numbers() -> None:
    torch.manual_seed(0)
    model, targets = _Linear(torch.randn(5, 4), 3), (torch.rand(5, 3) > 0.5).float()
    several = Labels("multi_label", WEIGHTS).loss(model, _batch(torch.arange(5), targets))
    wanted = binary_cross_entropy_with_logits(
        model.features_BD @ model.weight.T, targets, pos_weight=torch.tensor(WEIGHTS)
    )
    assert float((several.sum / several.count).detach()) == pytest.approx(
        float(wanted.detach()), abs=1e-6
    )
    one, numbers = _Linear(torch.randn(5, 4), 1), torch.randn(5)
    number = Labels("regression").loss(one, _batch(torch.arange(5), numbers))
    reference = mse_loss((one.features_BD @ one.weight.T)[:, 0], numbers) / 2
    assert float((number.sum / number.count).detach()) == pytest.approx(
        float(reference.detach()), abs=1e-6
    )


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_micro_batches_add_up_to_the_whole(weights: Any) -> None:
    torch.manual_seed(0)
    model, objective = _Linear(torch.randn(5, 4), 3), Labels("single_label", weights)
    whole = objective.loss(model, _batch(torch.arange(5), CLASSES))
    parts = [
        objective.loss(model, _batch(torch.arange(5)[some], CLASSES[some]))
        for some in (slice(0, 1), slice(1, 5))
    ]
    assert sum(part.count for part in parts) == pytest.approx(whole.count)
    assert sum(float(part.sum.detach()) for part in parts) == pytest.approx(
        float(whole.sum.detach()), abs=1e-5
    )
