"""What is counted of labelled rows: a score a row, and the figures of a whole set.

| problem | score of a row | figures |
|---|---|---|
| single_label | 1 where the class is right | accuracy, macro-F1 |
| multi_label | F1 of the row's set of classes | mean of it, micro-F1, share of sets wholly right |
| regression | minus the absolute error | mean absolute error, R² |
| tags | none, for F1 is of all spans | those of `fields`: span F1, precision, recall |
| steps | share of its steps that are right | mean of it, share of first errors found |

Through scikit-learn, whose definitions these are. The first error of an answer in steps is found
where the first step said to be wrong is it, or none is where there is none (Zheng et al. 2024,
ProcessBench, §3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
)
from sklearn.preprocessing import MultiLabelBinarizer

from tunesmith.evaluate.labels import fields
from tunesmith.evaluate.labels.measured import Said
from tunesmith.evaluate.wording import number, percent

Floats = NDArray[np.float64]

UNITS = {
    "single_label": "share of rows right",
    "multi_label": "F1 of the classes of a row",
    "regression": "absolute error",
    "tags": "F1 of spans",
    "steps": "share of an answer's steps",
}


LOSSES = {
    "single_label": "nats a row",
    "multi_label": "nats a row and class",
    "regression": "half squared deviations",
    "tags": "nats a word",
    "steps": "nats a step",
}
"""The units of the losses by which each is trained."""

RIGHT = "right"
"""The verdict on a step that is."""

_SHARES = ("accuracy", "sets wholly right", "words right", "steps right", "first error found")


def shown(name: str, value: float) -> str:
    """A figure as it is told: shares of rows in percent."""
    return percent(value) if name in _SHARES else number(value)


def row_scores(rows: Sequence[Said], problem: str) -> Floats:
    """The score of each row, higher is better."""
    if problem == "regression":
        return np.array([-abs(_number(row.wanted) - _number(row.said)) for row in rows])
    if problem == "single_label":
        return np.array([float(row.wanted == row.said) for row in rows])
    if problem == "steps":
        return np.array([np.mean([w == s for w, s in _steps(row)]) for row in rows])
    return np.array([_overlap(set(row.wanted), set(row.said)) for row in rows])


def mean_of(rows: Sequence[Said], problem: str) -> tuple[float, float]:
    """The score of all rows together, and its variance."""
    if problem == "tags":
        return fields.f1_of(rows)
    found = row_scores(rows, problem)
    return float(found.mean()), float(found.var() / len(found))


def figures(rows: Sequence[Said], problem: str, names: Sequence[str]) -> dict[str, float]:
    """The figures of the table above."""
    if problem == "tags":
        return fields.figures(rows)
    scores = row_scores(rows, problem)
    if problem == "regression":
        true, told = ([_number(getattr(row, side)) for row in rows] for side in ("wanted", "said"))
        found = {"mean absolute error": float(mean_absolute_error(true, told))}
        return found | ({"R²": float(r2_score(true, told))} if len(rows) > 1 else {})
    if problem == "single_label":
        wanted, said = _sides(rows)
        macro = f1_score(wanted, said, average="macro", zero_division=0)
        return {"accuracy": float(scores.mean()), "macro-F1": float(macro)}
    if problem == "steps":
        found_first = [_first_wrong(row.wanted) == _first_wrong(row.said) for row in rows]
        first = float(np.mean(found_first))
        return {"steps right": float(scores.mean()), "first error found": first}
    binarizer = MultiLabelBinarizer(classes=list(names)).fit([])
    wanted, said = (
        binarizer.transform([getattr(row, s) for row in rows]) for s in ("wanted", "said")
    )
    return {
        "F1 of a row": float(scores.mean()),
        "micro-F1": float(f1_score(wanted, said, average="micro", zero_division=0)),
        "sets wholly right": float(np.mean([set(row.wanted) == set(row.said) for row in rows])),
    }


def by_class(rows: Sequence[Said], names: Sequence[str]) -> list[tuple[str, float, float, int]]:
    """(class, precision, recall, rows) of every class that was wanted or said."""
    binarizer = MultiLabelBinarizer(classes=list(names)).fit([])
    wanted, said = (
        binarizer.transform([getattr(row, s) for row in rows]) for s in ("wanted", "said")
    )
    precision, recall, _, support = precision_recall_fscore_support(wanted, said, zero_division=0)
    met = wanted.any(axis=0) | said.any(axis=0)
    found = zip(names, precision.tolist(), recall.tolist(), support.tolist(), met, strict=True)
    return [(name, p, r, int(n)) for name, p, r, n, was_met in found if was_met]


def confusions(rows: Sequence[Said], most: int = 12) -> list[tuple[str, str, int]]:
    """(wanted, said instead, rows) of the commonest mistakes, for single labels."""
    wanted, said = _sides(rows)
    names = sorted({*wanted, *said})
    matrix = confusion_matrix(wanted, said, labels=names)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(names)) for place in order]
    return [(names[i], names[j], int(matrix[i, j])) for i, j in pairs if matrix[i, j]]


def _sides(rows: Sequence[Said]) -> tuple[list[str], list[str]]:
    """Wanted and said of rows with one label; "" where none was named."""
    return [row.wanted[0] for row in rows], [row.said[0] if row.said else "" for row in rows]


def _steps(row: Said) -> zip[tuple[str, str]]:
    return zip(row.wanted, row.said, strict=True)


def _first_wrong(verdicts: Sequence[str]) -> int:
    """The place of the first step that is not right; behind the last where all are."""
    return next((n for n, each in enumerate(verdicts) if each != RIGHT), len(verdicts))


def _overlap(wanted: set[str], said: set[str]) -> float:
    both = len(wanted & said)
    return 1.0 if wanted == said else 2 * both / (len(wanted) + len(said))


def _number(labels: Sequence[str]) -> float:
    return float(labels[0])
