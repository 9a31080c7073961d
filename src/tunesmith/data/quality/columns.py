"""What is kept of every row for the checks that need the whole set: numbers, never its text.

Letters:  R rows of all files, in the order they were read.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.core.records import Origin
from tunesmith.data.quality.languages import language
from tunesmith.data.quality.near import Known, Near, near
from tunesmith.data.quality.texts import Texts
from tunesmith.data.quality.view import View, plain

TRAIN, VALIDATION, BENCHMARK = range(3)
"""The kinds of files: what is trained on, what the model is judged on, and what others judge on."""


@dataclass(frozen=True, slots=True)
class Columns:
    """All rows that could be understood.

    Attributes:
        side_R: TRAIN, VALIDATION or BENCHMARK.
        row_R: the number of each among the rows of all files, those that could not be used too.
        exact_R: equal where rows are the same.
        asked_R, answered_R: equal where `plain` prompts and answers are; 0 where there are none.
        length_R: characters.
        language_R: an index of `languages`; 0 where it could not be told.
        quoted_R: the benchmark row of which a row quotes half or more, or −1.
        near: the near duplicates.
    """

    paths: list[str]
    file_R: np.ndarray
    line_R: np.ndarray
    item_R: np.ndarray
    side_R: np.ndarray
    row_R: np.ndarray
    exact_R: np.ndarray
    asked_R: np.ndarray
    answered_R: np.ndarray
    length_R: np.ndarray
    language_R: np.ndarray
    languages: list[str]
    quoted_R: np.ndarray
    near: Near

    def origin(self, row: int) -> Origin:
        """Where a row came from."""
        path, line = self.paths[self.file_R[row]], int(self.line_R[row])
        return Origin(path, line, int(self.item_R[row]) or None)

    def of(self, side: int) -> np.ndarray:
        """The rows of one kind of file, as indices."""
        return np.flatnonzero(self.side_R == side)


class Gatherer:
    """Columns while rows come in."""

    def __init__(self) -> None:
        self._paths: dict[str, int] = {}
        self._languages: dict[str | None, int] = {None: 0}
        names = (
            "file",
            "line",
            "item",
            "side",
            "row",
            "exact",
            "equal",
            "label",
            "asked",
            "answered",
        )
        self._values = {name: array("q") for name in (*names, "length", "language", "quoted")}
        self._texts = Texts()

    def __len__(self) -> int:
        return len(self._values["row"])

    def add(
        self, view: View, sentences: Sequence[str], side: int, row: int, quoted: int = -1
    ) -> None:
        """Take in a row; `sentences` are those that are compared of it, each `plain`."""
        origin, seen = view.origin, view.seen
        self._texts.append(sentences)
        spoken = language(seen.text)
        values = (
            self._paths.setdefault(origin.path, len(self._paths)),
            origin.line,
            origin.index or 0,
            side,
            row,
            # Python's own hashes: 64 bits, and never compared outside of this process.
            hash((seen.text, seen.prompt, seen.answer)),
            hash((" ".join(sentences), seen.label)),
            hash(seen.label),
            hash(plain(seen.prompt)) if seen.answer else 0,
            hash(plain(seen.answer)) if seen.answer else 0,
            len(seen.text),
            self._languages.setdefault(spoken, len(self._languages)),
            quoted,
        )
        for column, value in zip(self._values.values(), values, strict=True):
            column.append(value)

    def columns(self) -> Columns:
        """The columns of all rows taken in."""
        made = {name: np.array(values, np.int64) for name, values in self._values.items()}
        known = Known(made.pop("equal"), made.pop("label"), made["side"], BENCHMARK + 1)
        return Columns(
            paths=list(self._paths),
            languages=[name or "" for name in self._languages],
            near=near(self._texts.read(), known),
            **{f"{name}_R": values for name, values in made.items()},
        )
