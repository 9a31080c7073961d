"""What the checks found, in words: made afresh from numbers, so that it names files as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tunesmith.core.records import Origin
from tunesmith.data.quality.columns import Columns
from tunesmith.data.quality.table import CHECKS, GRADES, Check

PLACES = 1000
"""Findings of one check that are told with a sentence each; all are counted."""


@dataclass(frozen=True, slots=True)
class Place:
    """One row that was found, and what is said of it."""

    origin: Origin
    says: str


@dataclass(frozen=True, slots=True)
class Found:
    """What one check found: the numbers of all rows, and the first of them with a sentence each.

    Rows are numbered from 0 in the order in which they were read.
    """

    reason: str
    check: Check
    rows: np.ndarray
    places: tuple[Place, ...]

    @property
    def counted(self) -> str:
        """How many rows, and what they are: "5 rows equal to an earlier one"."""
        count = len(self.rows)
        return f"{count:,} {'row' if count == 1 else 'rows'} {self.check.title}"


@dataclass(frozen=True, slots=True)
class Report:
    """What the checks found, the gravest first, then the most frequent.

    `rows` counts the rows of each kind of file, `unusable` those that no format could read.
    """

    rows: tuple[int, ...]
    unusable: int
    found: tuple[Found, ...]

    @property
    def stops(self) -> bool:
        """Whether anything must be settled before a run."""
        return any(each.check.grade == "stop" for each in self.found)

    def dropped(self) -> dict[int, str]:
        """The rows that a cleaned copy leaves out, by number, with the first reason of each."""
        reasons: dict[int, str] = {}
        for each in self.found:
            if each.check.fix == "drop":
                for row in each.rows.tolist():
                    reasons.setdefault(row, each.reason)
        return reasons


@dataclass(frozen=True, slots=True)
class Marked:
    """The rows that were found for one reason, by number, with the sentences of the first."""

    rows: np.ndarray
    says: Mapping[int, str]

    def found(self, reason: str, check: Check, columns: Columns) -> Found:
        """As a finding."""
        return _found(reason, check, columns, self.rows, self.says.items())


def findings(
    columns: Columns, marked: Mapping[str, Marked], checks: Mapping[str, Check] = CHECKS
) -> Iterator[Found]:
    """What was found, check by check: `marked` by those that look at single rows."""
    for reason, check in checks.items():
        if check.whole is not None:
            marks = check.whole(columns)
            if len(marks.rows):
                first = ((row, marks.says(row)) for row in marks.rows[:PLACES].tolist())
                yield _found(reason, check, columns, marks.rows, first)
        elif reason in marked:
            yield marked[reason].found(reason, check, columns)


def in_order(found: Iterable[Found]) -> tuple[Found, ...]:
    """The gravest first, then the most frequent."""
    return tuple(sorted(found, key=lambda each: (GRADES.index(each.check.grade), -len(each.rows))))


def _found(
    reason: str,
    check: Check,
    columns: Columns,
    rows: np.ndarray,
    says: Iterable[tuple[int, str]],
) -> Found:
    places = tuple(Place(columns.origin(row), sentence) for row, sentence in says)
    return Found(reason, check, rows, places)
