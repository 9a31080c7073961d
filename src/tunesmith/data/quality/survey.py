"""All checks over all rows, in one pass through the files and a few over numbers."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tunesmith.core.records import Example, Finding, Origin
from tunesmith.data.quality.benchmarks import Quotations
from tunesmith.data.quality.columns import BENCHMARK, TRAIN, Gatherer
from tunesmith.data.quality.table import CHECKS, GRADES, Check
from tunesmith.data.quality.view import plain, sentences, view

PLACES = 1000
"""Findings of one check that are kept with their sentences; all are counted."""
UNUSABLE = 0.01
"""The share of rows that cannot be used from which on they stop a run."""


@dataclass(frozen=True, slots=True)
class Place:
    """One row that was found, and what is said of it."""

    origin: Origin
    says: str


@dataclass(frozen=True, slots=True)
class Found:
    """What one check found: the numbers of all rows, and the first of them with a sentence each.

    Rows are numbered from 0 in the order in which they were added.
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


@dataclass(slots=True)
class _Noted:
    """What is being found of one reason."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    places: list[Place] = field(default_factory=list)

    def take(self, row: int, origin: Origin, says: str) -> None:
        self.rows.append(row)
        if len(self.places) < PLACES:
            self.places.append(Place(origin, says))

    def found(self, reason: str, check: Check) -> Found:
        return Found(reason, check, np.array(self.rows, np.int64), tuple(self.places))


class Survey:
    """Rows go in one by one, those of benchmarks first; at the end stands the report."""

    def __init__(self, checks: Mapping[str, Check] = CHECKS) -> None:
        self._checks = checks
        self._each = [(name, check.each) for name, check in checks.items() if check.each]
        self._rows: Counter[int] = Counter()
        self._noted = {name: _Noted() for name, _ in self._each}
        self._unusable: dict[str, _Noted] = {}
        self._gatherer = Gatherer()
        self._quotations = Quotations()

    def add(self, row: Example | Finding, side: int = TRAIN) -> None:
        """Look at one row by itself, and keep what the other checks need of it.

        Args:
            row: what became of it; a Finding says that it cannot be used.
            side: TRAIN, VALIDATION or BENCHMARK, the kind of file that it is from.
        """
        number = self._rows.total()
        self._rows[side] += 1
        if isinstance(row, Finding):
            assert row.origin is not None
            noted = self._unusable.setdefault(row.reason, _Noted())
            noted.take(number, row.origin, row.message)
            return
        seen = view(row)
        compared = sentences(seen.seen.compared)
        words = " ".join(compared)
        quoted = -1
        if side == BENCHMARK:
            self._quotations.add(len(self._gatherer), plain(seen.seen.prompt) or words)
        else:
            quoted = self._quotations.quoted_by(words)
            for reason, look in self._each:
                says = look(seen.seen)
                if says is not None:
                    self._noted[reason].take(number, row.origin, says)
        self._gatherer.add(seen, compared, side, number, quoted)

    def report(self) -> Report:
        """What was found in the rows added so far, of which there is at least one."""
        rows = tuple(self._rows[side] for side in range(BENCHMARK + 1))
        unusable = sum(len(noted.rows) for noted in self._unusable.values())
        checked = rows[TRAIN] + rows[TRAIN + 1]
        found = [*self._cannot_be_used(unusable > UNUSABLE * checked), *self._of_checks()]
        found.sort(key=lambda each: (GRADES.index(each.check.grade), -len(each.rows)))
        return Report(rows, unusable, tuple(found))

    def _cannot_be_used(self, many: bool) -> Iterator[Found]:
        check = Check(
            "stop" if many else "warn",
            "that cannot be used",
            "Correct them: a run refuses such rows, unless data.bad_rows=drop leaves them out.",
            fix="drop",
        )
        for reason, noted in self._unusable.items():
            yield noted.found(reason, check)

    def _of_checks(self) -> Iterable[Found]:
        columns = self._gatherer.columns()
        found = [self._noted[name].found(name, self._checks[name]) for name, _ in self._each]
        for name, check in self._checks.items():
            if check.whole:
                marks = check.whole(columns)
                first = (int(row) for row in marks.rows[:PLACES])
                places = tuple(Place(columns.origin(row), marks.says(row)) for row in first)
                found.append(Found(name, check, columns.row_R[marks.rows], places))
        return [each for each in found if len(each.rows)]
