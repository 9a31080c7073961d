"""What the same rows get without this training: a constant, and simple learners on the frozen base.

Features are what the untrained base makes of a text. Through scikit-learn.

Shape legend: R rows, D features, C classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import MultiLabelBinarizer, normalize

from tunesmith.evaluate.labels.measured import Rival, Said

Floats = NDArray[np.float32]
Labels = Sequence[tuple[str, ...]]
SaysLabels = Callable[[Floats], Labels]
"""From features (R, D) to labels."""

NEIGHBOURS = 5
CONSTANT, NEAREST, LINEAR = "constant", "nearest", "linear"


class Rivals:
    """Simple learners, fitted on the training rows' frozen features.

    Args:
        features_RD: of the training rows.
        labels: theirs.
        problem: "single_label", "multi_label" or "regression".
        linear: what the linear probe fitted on them says of features; see `probe`.
    """

    def __init__(
        self, features_RD: Floats, labels: Labels, problem: str, linear: SaysLabels
    ) -> None:
        self._problem = problem
        self._labels = labels
        self._linear = linear
        self._features_RD = normalize(features_RD)
        self._binarizer = MultiLabelBinarizer().fit(labels) if problem == "multi_label" else None

    def judge(self, features_RD: Floats, rows: Sequence[Said]) -> tuple[Rival, ...]:
        """Each learner on `rows`, whose features these are (what `rows` say is not read)."""
        unit_RD = normalize(features_RD)
        nearest = self._nearest().fit(self._features_RD, self._targets()).predict(unit_RD)
        constant = self._constant()
        return (
            Rival(CONSTANT, *_CONSTANT[self._problem], tuple(_with(rows, [constant] * len(rows)))),
            Rival(
                NEAREST,
                f"the {NEIGHBOURS} nearest training rows",
                tuple(_with(rows, self._named(nearest))),
                "those whose frozen features have the largest cosine similarity, by majority",
            ),
            Rival(
                LINEAR,
                "logistic regression on the frozen base"
                if self._problem != "regression"
                else "linear regression on the frozen base",
                tuple(_with(rows, self._linear(features_RD))),
                "on the states that the untrained base has of a text, standardised",
            ),
        )

    def _targets(self) -> NDArray[np.generic]:
        if self._binarizer is not None:
            found: NDArray[np.generic] = self._binarizer.transform(self._labels)
            return found
        first = [labels[0] for labels in self._labels]
        return np.array(first, dtype=float) if self._problem == "regression" else np.array(first)

    def _nearest(self) -> Any:
        count = min(NEIGHBOURS, len(self._labels))
        if self._problem == "regression":
            return KNeighborsRegressor(count)
        return KNeighborsClassifier(count)

    def _constant(self) -> tuple[str, ...]:
        if self._problem == "regression":
            return (repr(float(np.median([float(labels[0]) for labels in self._labels]))),)
        counts = Counter(self._labels)
        return max(sorted(counts), key=counts.__getitem__)

    def _named(self, predicted: NDArray[np.generic]) -> list[tuple[str, ...]]:
        if self._binarizer is not None:
            return [tuple(each) for each in self._binarizer.inverse_transform(predicted)]
        return [(str(each),) for each in predicted.tolist()]


_CONSTANT = {
    "single_label": ("the commonest class for every row",),
    "multi_label": ("the commonest set of classes for every row",),
    "regression": ("the median for every row",),
}


def _with(rows: Sequence[Said], said: Labels) -> list[Said]:
    return [Said(row.origin, row.wanted, each) for row, each in zip(rows, said, strict=True)]
