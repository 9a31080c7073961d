"""All checks over all rows of some files: blocks of rows go in, at the end stands the report."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tunesmith.core.records import Example, Finding
from tunesmith.data.formats import understand
from tunesmith.data.quality.benchmarks import Quotations, item
from tunesmith.data.quality.columns import BENCHMARK, TRAIN, Columns, neighbours, sides_of
from tunesmith.data.quality.looks import LOOK, Looks, look
from tunesmith.data.quality.report import PLACES, Marked, Report, findings, in_order
from tunesmith.data.quality.table import CHECKS, Check
from tunesmith.data.quality.texts import Texts
from tunesmith.data.sources import Block

UNUSABLE = 0.01
"""The share of rows that cannot be used from which on they stop a run."""

_PLACE = np.dtype([("file", "<i4"), ("line", "<i8"), ("item", "<i4"), ("side", "<i1")])


@dataclass(frozen=True, slots=True)
class Seen:
    """Rows of one file that were looked at: where they stand, and why some cannot be used."""

    lines: Sequence[int]
    items: Sequence[int]
    looks: Looks
    unusable: Mapping[int, Finding]


@dataclass(frozen=True, slots=True)
class LookAt:
    """A block of rows understood and looked at: what each process works at.

    The rows of a benchmark may be of any form, and what they ask is kept.
    """

    mapping: Mapping[str, str] = field(default_factory=dict)
    benchmark: bool = False

    def __call__(self, block: Block) -> Seen:
        """Raises DataError where the block holds something that is not a row."""
        rows = [placed.row for placed in block.rows()]
        read = [understand(row, self.mapping) for row in rows]
        if not self.benchmark:
            return seen(read)
        items = [item(*pair) for pair in zip(rows, read, strict=True)]
        return seen(items, checks={}, prompts=True)


def seen(
    rows: Sequence[Example | Finding],
    checks: Mapping[str, Check] = CHECKS,
    *,
    prompts: bool = False,
) -> Seen:
    """Look at rows of one file; a Finding with its origin says that a row cannot be used."""
    origins = [row.origin for row in rows if row.origin is not None]
    return Seen(
        lines=[origin.line for origin in origins],
        items=[origin.index or 0 for origin in origins],
        looks=look(rows, checks, prompts=prompts),
        unusable={number: row for number, row in enumerate(rows) if isinstance(row, Finding)},
    )


class _Marking:
    """The rows that are being found for one reason."""

    def __init__(self) -> None:
        self._rows = array("q")
        self._says: dict[int, str] = {}

    def take(self, row: int, says: str) -> None:
        self._rows.append(row)
        if len(self._says) < PLACES:
            self._says[row] = says

    def marked(self) -> Marked:
        return Marked(np.array(self._rows, np.int64), self._says)


class Survey:
    """Rows go in block by block, those of benchmarks first."""

    def __init__(self, checks: Mapping[str, Check] = CHECKS) -> None:
        self._checks = checks
        self._paths: dict[str, int] = {}
        self._rows: Counter[int] = Counter()
        self._places: list[np.ndarray] = []
        self._looks: list[np.ndarray] = []
        self._labels: dict[int, str] = {}
        self._marked: defaultdict[str, _Marking] = defaultdict(_Marking)
        self._unusable: defaultdict[str, _Marking] = defaultdict(_Marking)
        self._texts = Texts()
        self._quotations = Quotations()
        self._quoted: dict[int, int] = {}

    def take(self, path: str, rows: Seen, side: int = TRAIN) -> None:
        """Take in the next rows.

        Args:
            path: the file that they are from.
            rows: of a benchmark with its prompts.
            side: TRAIN, VALIDATION or BENCHMARK, the kind of file.
        """
        first, looks = self._rows.total(), rows.looks
        self._rows[side] += len(rows.lines)
        places = np.zeros(len(rows.lines), _PLACE)
        places["file"] = self._paths.setdefault(path, len(self._paths))
        places["line"], places["item"], places["side"] = rows.lines, rows.items, side
        self._places.append(places)
        self._looks.append(looks.records)
        self._labels.update(looks.labels)
        for number, finding in rows.unusable.items():
            self._unusable[finding.reason].take(first + number, finding.message)
        if side == BENCHMARK:
            self._take_items(first, looks)
        else:
            self._take_rows(first, looks)
        for text in looks.compared:
            self._texts.append(text)

    def _take_items(self, first: int, looks: Looks) -> None:
        numbers = (first + np.flatnonzero(looks.records["seen"])).tolist()
        for number, asked, text in zip(numbers, looks.asked, looks.compared, strict=True):
            self._quotations.add(number, asked or _words(text))

    def _take_rows(self, first: int, looks: Looks) -> None:
        for mark in looks.marks:
            self._marked[mark.reason].take(first + mark.row, mark.says)
        if self._quotations:
            numbers = (first + np.flatnonzero(looks.records["seen"])).tolist()
            for number, text in zip(numbers, looks.compared, strict=True):
                item = self._quotations.quoted_by(_words(text))
                if item >= 0:
                    self._quoted[number] = item

    def report(self) -> Report:
        """What was found in the rows taken in so far, of which there is at least one."""
        columns = self.columns()
        rows = tuple(self._rows[side] for side in range(BENCHMARK + 1))
        marked, unusable = (
            {reason: marking.marked() for reason, marking in kept.items()}
            for kept in (self._marked, self._unusable)
        )
        count = sum(len(each.rows) for each in unusable.values())
        check = _cannot_be_used(count > UNUSABLE * sum(rows[:BENCHMARK]))
        found = [each.found(reason, check, columns) for reason, each in unusable.items()]
        return Report(rows, count, in_order([*found, *findings(columns, marked, self._checks)]))

    def columns(self) -> Columns:
        """The rows taken in so far, compared with each other; none can be taken in after."""
        places_R = np.concatenate([np.empty(0, _PLACE), *self._places])
        looks_R = np.concatenate([np.empty(0, LOOK), *self._looks])
        side_R = sides_of(looks_R, places_R["side"])
        quoted_R = np.full(len(looks_R), -1)
        quoted_R[list(self._quoted)] = list(self._quoted.values())
        return Columns.made_of(
            list(self._paths),
            places_R,
            side_R,
            looks_R,
            neighbours(looks_R, side_R, self._texts),
            self._labels,
            quoted_R,
        )


def _cannot_be_used(many: bool) -> Check:
    return Check(
        "stop" if many else "warn",
        "that cannot be used",
        "Correct them: a run refuses such rows, unless data.bad_rows=drop leaves them out.",
        fix="drop",
    )


def _words(compared: bytes) -> str:
    return compared.decode(errors="ignore").replace("\n", " ")
