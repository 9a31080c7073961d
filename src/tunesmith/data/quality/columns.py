"""What the checks that need all rows look at: a column of numbers each, never the texts.

Letters:  R rows of all files, in the order they were read; those that could not be understood, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.core.records import Origin
from tunesmith.data.quality.near import Known, near
from tunesmith.data.quality.texts import Texts

TRAIN, VALIDATION, BENCHMARK, UNSEEN = range(4)
"""The kinds of rows: what is trained on, what the model is judged on, what others judge on, and
what could not be understood."""

NEAR = np.dtype([("group", "<i8"), ("twins", "<i8", (BENCHMARK + 1,))])
"""Near duplicates of a row, as row numbers: the first row of its group (itself, if it has none),
and for each kind of file a twin there, or −1. See `near.Near`."""


@dataclass(frozen=True, slots=True)
class Columns:
    """All rows.

    Attributes:
        side_R: TRAIN, VALIDATION, BENCHMARK or UNSEEN.
        exact_R: equal where rows are the same.
        label_R: equal where labels are; 0 where there is none. `labels` has their texts, those of
            rows of several classes with view.CLASS between.
        asked_R, answered_R: equal where `plain` prompts and answers are; 0 where there are none.
        chosen_R, turned_R: equal where pairs of a preference are, as they stand and turned round;
            0 where there is none.
        longer_R: characters that a chosen answer has more than the rejected one.
        length_R: characters.
        language_R: an index of languages.NAMES; 0 where it could not be told.
        quoted_R: the benchmark row of which a row quotes half or more, or −1.
        group_R, twins_FR: near duplicates, see NEAR; F is a kind of file.
    """

    paths: Sequence[str]
    file_R: np.ndarray
    line_R: np.ndarray
    item_R: np.ndarray
    side_R: np.ndarray
    exact_R: np.ndarray
    label_R: np.ndarray
    asked_R: np.ndarray
    answered_R: np.ndarray
    chosen_R: np.ndarray
    turned_R: np.ndarray
    longer_R: np.ndarray
    length_R: np.ndarray
    language_R: np.ndarray
    quoted_R: np.ndarray
    group_R: np.ndarray
    twins_FR: np.ndarray
    labels: Mapping[int, str]

    @classmethod
    def made_of(
        cls,
        paths: Sequence[str],
        places_R: np.ndarray,
        side_R: np.ndarray,
        looks_R: np.ndarray,
        near_R: np.ndarray,
        labels: Mapping[int, str],
        quoted_R: np.ndarray | None = None,
    ) -> Columns:
        """From tables: `places_R` has the fields file, line and item, `looks_R` is LOOK, `near_R`
        NEAR."""
        kept = ("exact", "label", "asked", "answered", "chosen", "turned", "longer")
        return cls(
            paths=paths,
            side_R=side_R,
            quoted_R=np.full(len(side_R), -1) if quoted_R is None else quoted_R,
            group_R=near_R["group"],
            twins_FR=near_R["twins"].T,
            labels=labels,
            **{f"{name}_R": places_R[name] for name in ("file", "line", "item")},
            **{f"{name}_R": looks_R[name] for name in (*kept, "length", "language")},
        )

    def origin(self, row: int) -> Origin:
        """Where a row came from."""
        path, line = self.paths[self.file_R[row]], int(self.line_R[row])
        return Origin(path, line, int(self.item_R[row]) or None)

    def of(self, *sides: int) -> np.ndarray:
        """The rows of some kinds, as indices."""
        return np.flatnonzero(np.isin(self.side_R, sides))


def sides_of(looks_R: np.ndarray, file_side_R: np.ndarray) -> np.ndarray:
    """The kind of each row (int8, R) by the kind of its file; LOOK records tell which were seen."""
    return np.where(looks_R["seen"], file_side_R, UNSEEN).astype(np.int8)


def neighbours(looks_R: np.ndarray, side_R: np.ndarray, texts: Texts) -> np.ndarray:
    """The near duplicates of each row (NEAR, R).

    Args:
        looks_R: LOOK records.
        side_R: as in `Columns`.
        texts: what is compared of the rows that were seen, in order. None can be added after.
    """
    found = np.empty(len(looks_R), NEAR)
    found["group"] = np.arange(len(looks_R))
    found["twins"] = -1
    seen = np.flatnonzero(looks_R["seen"])
    known = Known(
        looks_R["equal"][seen], looks_R["label"][seen], side_R[seen].astype(np.int64), BENCHMARK + 1
    )
    near_by = near(texts.read(), known)
    found["group"][seen] = seen[near_by.group_R]
    twins_RF = near_by.twins_FR.T
    found["twins"][seen] = np.where(twins_RF < 0, -1, seen[twins_RF])
    return found
