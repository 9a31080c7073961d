"""What a labelled sequence, word or image is said to be: three losses over the same logits.

    single label    −Σ_b w_{y_b} log softmax(z_b)[y_b]                          count = Σ_b w_{y_b}
    multi label     −Σ_b mean_c ( w_c t_bc log s(z_bc) + (1 − t_bc) log s(−z_bc) )       count = B
    regression      Σ_b ½ (z_b − t_b)²                                                   count = B

with z the head's C numbers for sequence b and s the logistic function (Bishop 2006, eq. 4.108, 4.90
and 3.12). Class weights w make rare classes count as much as common ones (King & Zeng 2001);
without them they are 1. Label smoothing ε takes ε of the target's probability and gives it to all
classes alike (Szegedy et al. 2016, §7).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from tunesmith.core.batch import Batch, ImageBatch, LossSum
from tunesmith.core.ports import FeatureModel


class Labels:
    """One of the three losses.

    Args:
        problem: "single_label", "multi_label" or "regression".
        weights_C: how much each class counts, None for all alike.
        smoothing: ε of label smoothing, for a single label.
        words: the targets are those of sites (tags), not those of sequences.
    """

    def __init__(
        self,
        problem: str,
        weights_C: Sequence[float] | None = None,
        smoothing: float = 0.0,
        words: bool = False,
    ) -> None:
        self._loss = {"single_label": self._one, "multi_label": self._several}.get(
            problem, self._number
        )
        self._weights_C = None if weights_C is None else torch.tensor(weights_C)
        self._smoothing = smoothing
        self._words = words

    def loss(self, model: FeatureModel, batch: Batch | ImageBatch) -> LossSum:
        """The loss in nats (for a number: half squared errors), and what it is divided by."""
        logits_BC = model.head(model.features(batch)).float()
        targets: Any = batch.labels_B
        if self._words and isinstance(batch, Batch):
            targets = batch.targets_S
        return self._loss(logits_BC, targets)

    def _one(self, logits_BC: torch.Tensor, classes_B: torch.Tensor) -> LossSum:
        weights_C = self._weights(logits_BC)
        count = len(classes_B) if weights_C is None else float(weights_C[classes_B].sum())
        # By hand where both are given: PyTorch would smooth with the weights of the other classes.
        nll_B = cross_entropy(
            logits_BC, classes_B, reduction="none", label_smoothing=self._smoothing
        )
        return LossSum(
            nll_B.sum() if weights_C is None else nll_B @ weights_C[classes_B], float(count)
        )

    def _several(self, logits_BC: torch.Tensor, targets_BC: torch.Tensor) -> LossSum:
        nll_BC = binary_cross_entropy_with_logits(
            logits_BC, targets_BC, pos_weight=self._weights(logits_BC), reduction="none"
        )
        return LossSum(nll_BC.mean(1).sum(), float(len(targets_BC)))

    def _number(self, values_B1: torch.Tensor, targets_B: torch.Tensor) -> LossSum:
        squares = mse_loss(values_B1[:, 0], targets_B, reduction="sum")
        return LossSum(squares / 2, float(len(targets_B)))

    def _weights(self, like: torch.Tensor) -> torch.Tensor | None:
        return None if self._weights_C is None else self._weights_C.to(like)
