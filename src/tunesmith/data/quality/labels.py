"""Checks of classes: how the rows are spread over them, and whether each class is one.

A row of several classes counts for each. Only rows that were given classes are looked at, and none
where there are so many that not all names are kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from tunesmith.data.quality.columns import TRAIN, VALIDATION, Columns
from tunesmith.data.quality.sets import FEW, Marks
from tunesmith.data.quality.view import CLASS, plain

DOMINANT = 0.9
"""The share of the training rows from which on one class outweighs all others."""
RARE = 5
"""Training rows under which a class can hardly be learned."""
_WORD = 5
"""Letters that a name has at least if one that differs in a single letter is taken for a slip."""


class _Classes:
    """The rows of each class of one kind of file."""

    def __init__(self, columns: Columns, side: int) -> None:
        self._columns = columns
        rows = columns.of(side)
        rows = rows[columns.label_R[rows] != 0]
        codes = np.unique(columns.label_R[rows])
        self.rows = rows if columns.labels.keys() >= set(codes.tolist()) else rows[:0]
        codes, self._code_R = np.unique(columns.label_R[self.rows], return_inverse=True)
        self._of_code = [columns.labels[code].split(CLASS) for code in codes.tolist()]

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many rows each class has, in the order of their names."""
        counts: defaultdict[str, int] = defaultdict(int)
        for classes, rows in zip(self._of_code, np.bincount(self._code_R).tolist(), strict=True):
            for each in classes:
                counts[each] += rows
        return dict(sorted(counts.items()))

    def within(self, wanted: set[str]) -> np.ndarray:
        """The rows that are of one of these classes."""
        hit = np.array([not wanted.isdisjoint(each) for each in self._of_code], dtype=bool)
        return self.rows[hit[self._code_R]] if len(hit) else self.rows

    def first(self, row: int, wanted: set[str]) -> str:
        """The first class of a row that is one of these."""
        classes = self._columns.labels[int(self._columns.label_R[row])].split(CLASS)
        return next(each for each in classes if each in wanted)


def dominant(columns: Columns) -> Marks:
    """Training rows of a class that nine of ten have."""
    classes = _Classes(columns, TRAIN)
    total = len(classes.rows)
    over = {name for name, rows in classes.counts.items() if rows >= DOMINANT * total}
    if total < FEW or len(classes.counts) < 2 or not over:
        return Marks(classes.rows[:0], str)

    def says(row: int) -> str:
        name = classes.first(row, over)
        return f"{name!r} is the class of {classes.counts[name]:,} of {total:,} rows."

    return Marks(classes.within(over), says)


def rare(columns: Columns) -> Marks:
    """Training rows of classes that have fewer than RARE."""
    classes = _Classes(columns, TRAIN)
    few = {name for name, rows in classes.counts.items() if rows < RARE}
    if len(classes.rows) < FEW:
        few = set()

    def says(row: int) -> str:
        name = classes.first(row, few)
        rows = classes.counts[name]
        return f"{name!r} is the class of {rows} training {'row' if rows == 1 else 'rows'}."

    return Marks(classes.within(few), says)


def unknown(columns: Columns) -> Marks:
    """Validation rows of a class that no training row is of."""
    known, judged = _Classes(columns, TRAIN), _Classes(columns, VALIDATION)
    lacking = judged.counts.keys() - known.counts.keys() if known.counts else set()
    return Marks(
        judged.within(lacking),
        lambda row: f"No training row is of the class {judged.first(row, lacking)!r}.",
    )


def nearly_equal(columns: Columns) -> Marks:
    """Rows of a class whose name is nearly that of another, which has more rows."""
    classes = _Classes(columns, TRAIN)
    other = dict(_alike(sorted(classes.counts, key=lambda name: -classes.counts[name])))

    def says(row: int) -> str:
        name = classes.first(row, set(other))
        return (
            f"{name!r} is the class of {classes.counts[name]:,} training rows, and "
            f"{other[name]!r} of {classes.counts[other[name]]:,}."
        )

    return Marks(classes.within(set(other)), says)


def _alike(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each name that differs from an earlier one in case, spaces or punctuation alone, or by a slip
    of one letter, with that one.

    Two names that are a slip apart are equal when one letter is taken out of each, or of one
    (Garbe's symmetric delete spelling correction, 2012), so that no two need be compared that are
    not.
    """
    earlier: dict[str, str] = {}
    for name in names:
        words = plain(name)
        met = [earlier[each] for each in _slips(words) if each in earlier]
        close = [each for each in met if _one_thing(words, plain(each))]
        if close:
            yield name, close[0]
        for each in _slips(words):
            earlier.setdefault(each, name)


def _slips(words: str) -> list[str]:
    return [words, *(words[:at] + words[at + 1 :] for at in range(len(words)))]


def _one_thing(one: str, other: str) -> bool:
    """Whether two `plain` names stand for one class: they are equal, or one word of them has a
    letter more, less, changed or swapped.

    Digits, first letters and short words are no slips: `card 1` and `card 2`, `typical` and
    `atypical`, `class a` and `class b` are classes of their own.
    """
    left, right = one.split(), other.split()
    differing = [pair for pair in zip(left, right, strict=False) if pair[0] != pair[1]]
    if len(left) != len(right) or len(differing) != 1:
        return one == other
    a, b = differing[0]
    if min(len(a), len(b)) < _WORD or a[0] != b[0] or not (a + b).isalpha():
        return False
    return _one_slip(a, b)


def _one_slip(one: str, other: str) -> bool:
    """Whether one edit of a letter, or two neighbours swapped, make one word of the other."""
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    a, b = one[start:], other[start:]
    swapped = a[:2] == b[1::-1] and a[2:] == b[2:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or swapped
