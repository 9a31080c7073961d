"""The classes of a data set, and what a row's labels are as numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.core.records import Tokens
from tunesmith.core.spans import OUTSIDE

Problem = Literal["single_label", "multi_label", "regression", "similarity", "preference"]

MOST_CLASSES = 100_000
"""More than this are no classes: the field is an identifier, or a text."""


class Targets:
    """What labels stand for.

    `single_label`: the index of the class (int64). `multi_label`: 0 or 1 for each of C classes
    (float32, C). `regression`: the number (float32), with a `mean` and a `scale` by which the head
    learns it at unit size. `similarity`: of a text beside others the score of the pair that it
    begins (float32), NaN where there is none. `preference`: of the better one of two answers by
    how much it is to be better (float32), 0 for the other.

    Args:
        problem: which of the five.
        names: the classes in order; none for regression.
        mean: of the training rows' numbers.
        scale: their standard deviation.
        words: a row has a label for each of its words, the tag, and none as a whole.
        odds: two classes are told by one number, the log-odds of the second.
    """

    def __init__(
        self,
        problem: Problem,
        names: Sequence[str],
        mean: float = 0.0,
        scale: float = 1.0,
        *,
        words: bool = False,
        odds: bool = False,
    ) -> None:
        self.problem = problem
        self.words = words
        self.odds = odds
        self.names = tuple(names)
        self.mean, self.scale = mean, scale
        self._index = {name: index for index, name in enumerate(self.names)}

    @classmethod
    def found(cls, train: Iterable[Tokens], problem: Problem | Literal["auto"]) -> Targets:
        """From the training rows; `auto` is multi_label where any row has several labels.

        Raises:
            DataError: there is one class only, there are too many, or a number is none.
        """
        rows = list(train)
        if problem == "similarity":
            _require_alike(rows)
            return cls(problem, ())
        if problem == "auto":
            problem = "multi_label" if any(len(row.labels) > 1 for row in rows) else "single_label"
        if problem == "regression":
            numbers = [number_of(row) for row in rows]
            return cls(problem, (), float(np.mean(numbers)), float(np.std(numbers)) or 1.0)
        if problem == "single_label":
            _require_single(rows)
        names = sorted({label for row in rows for label in row.labels}, key=_in_order)
        if len(names) < 2:
            raise DataError(
                f"All {len(rows)} training rows have the same label, {names[0]!r}, so there is "
                "nothing to tell apart. Add rows of another class."
            )
        if len(names) > MOST_CLASSES:
            raise DataError(
                f"The training rows have {len(names):,} different labels, more than "
                f"{MOST_CLASSES:,}. Is the field an identifier, or a text? Name the right one with "
                "data.mapping."
            )
        return cls(problem, names)

    @classmethod
    def tags(cls, train: Iterable[Tokens]) -> Targets:
        """The tags of the training rows' words, O first."""
        names = {tag for row in train for tag in row.labels}
        return cls("single_label", sorted(names, key=lambda tag: (tag != OUTSIDE, tag)), words=True)

    @classmethod
    def verdicts(cls, names: tuple[str, str], *, steps: bool = False) -> Targets:
        """Of rated answers, or of their steps: the worse of two verdicts, and the better one."""
        return cls("single_label", names, words=steps, odds=True)

    @property
    def task(self) -> str:
        """What is measured and saved: "tags", "steps", or the problem."""
        if self.words:
            return "steps" if self.odds else "tags"
        return self.problem

    @property
    def outputs(self) -> int:
        """C: how many numbers the head gives, log-odds as two; 0 where there is none."""
        return 0 if self.problem == "similarity" else len(self.names) or 1

    def knows(self, label: str) -> bool:
        """Whether a label is one of the classes; any number is, for regression."""
        return not self.names or label in self._index

    def of(self, labels: Sequence[str]) -> np.ndarray:
        """The labels of one row, or of one word, as numbers."""
        if self.problem == "similarity":
            return np.array(labels[0] if labels else math.nan, dtype=np.float32)
        if self.problem == "preference":
            return np.array(labels[0], dtype=np.float32)
        if self.problem == "regression":
            return np.array((float(labels[0]) - self.mean) / self.scale, dtype=np.float32)
        if self.problem == "single_label":
            return np.array(self._index[labels[0]], dtype=np.int64)
        found_C = np.zeros(len(self.names), dtype=np.float32)
        found_C[[self._index[label] for label in labels]] = 1
        return found_C

    def of_rows(self, rows: Iterable[Tokens]) -> np.ndarray:
        """The labels of rows, or of all their words, one behind the other: (R), (R, C) or (W)."""
        if self.words:
            return np.stack([self.of([tag]) for row in rows for tag in row.labels])
        return np.stack([self.of(row.labels) for row in rows])


def number_of(row: Tokens) -> float:
    """The number that a row is labelled with.

    Raises:
        DataError: it has no finite one.
    """
    try:
        number = float(row.labels[0])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(
            f"{row.origin}: the label {row.labels[0]!r} is no number, and objective.problem is "
            "regression. Correct the row, or set objective.problem=single_label."
        )
    return number


def _require_alike(rows: Sequence[Tokens]) -> None:
    firsts = [row for row in rows if row.part == 0]
    other = next((row for row in firsts if bool(row.labels) != bool(firsts[0].labels)), None)
    if other is not None:
        scored, bare = (other, firsts[0]) if other.labels else (firsts[0], other)
        raise DataError(
            f"{scored.origin} has a score, and {bare.origin} has none: pairs with scores are "
            "learned by another loss than pairs and triplets without. Train them in runs of their "
            "own."
        )


def _require_single(rows: Sequence[Tokens]) -> None:
    for row in rows:
        if len(row.labels) > 1:
            raise DataError(
                f"{row.origin}: the row has {len(row.labels)} labels, and objective.problem is "
                "single_label. Set objective.problem=multi_label, or leave one label."
            )


def _in_order(name: str) -> tuple[bool, float, str]:
    """Numbers by size, then names by the alphabet, so that the class "10" comes behind "9"."""
    return (not name.isdecimal(), float(name) if name.isdecimal() else 0.0, name)
