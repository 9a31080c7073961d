"""Rows that say nearly the same: groups of them, and their twins in the other files.

How alike two rows are is the Jaccard similarity of the shingles of what is compared of them
(`texts`). Candidates come from MinHash (`minhash`, with the chance that a pair is met), and each is
verified on the texts. Two thresholds are set on it, because two mistakes are to be avoided:

*   Groups hold near duplicates of `GROUPED` or more. Groups grow by chains, so a lower threshold
    would join what has nothing in common.
*   Twins, between training rows and rows the model is judged on, are what an edit leaves of a row:
    a changed word, a greeting. In a short text these are much of it, in a long one little, so the
    threshold rises with the length (`twin_threshold`). Where rows are labelled texts, twins have
    the same label: one word changed may make another class of it, and then nothing leaks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.data.quality.groups import Groups
from tunesmith.data.quality.minhash import HASHES, agreement, candidates
from tunesmith.data.quality.shingles import jaccard
from tunesmith.data.quality.texts import Read, parts

GROUPED = 0.7
_TWINS = (0.5, GROUPED)
_BYTES = (100, 400)
_SLACK = 0.12
"""Pairs whose signatures agree less than the threshold by more than this are not verified: over 2.6
times the spread of the estimate."""
_ESTIMATED = 1 << 16
_VERIFIED = 1 << 22


def twin_threshold(bytes_P: np.ndarray) -> np.ndarray:
    """From which similarity on two rows are twins, by the length of the shorter one.

    0.5 up to 100 bytes, 0.7 from 400 on, and linear in the logarithm between.
    """
    return np.interp(np.log(np.maximum(bytes_P, 1)), np.log(_BYTES), _TWINS)


@dataclass(frozen=True, slots=True)
class Near:
    """What is near to each row.

    `group_R` is the first row of the row's group: near duplicates of near duplicates belong to it,
    too. `twins_FR[f]` is a row of file kind `f` that is a twin of the row itself, or −1; twins are
    looked for between training rows and the others, both ways.
    """

    group_R: np.ndarray
    twins_FR: np.ndarray


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of each row besides its text.

    `equal_R` is the same number where `plain` texts and labels are, `label_R` where labels are;
    `side_R` says which kind of file a row is from: 0 is training, others are below `sides`.
    """

    equal_R: np.ndarray
    label_R: np.ndarray
    side_R: np.ndarray
    sides: int


def near(texts: Read, known: Known) -> Near:
    """Groups and twins of all rows."""
    _, first_U, text_R = np.unique(known.equal_R, return_index=True, return_inverse=True)
    rows_FU = np.full((known.sides, len(first_U)), -1)
    for side in range(known.sides):
        rows = np.flatnonzero(known.side_R == side)[::-1]
        rows_FU[side, text_R[rows]] = rows  # written last, the first row of each text stays
    search = _Search(texts, first_U, rows_FU, known.label_R[first_U])
    for left, right in candidates(texts.signatures_RH[first_U]):
        search.compare(left, right)
    root_U = search.groups.first
    lowest_U = np.full(len(first_U), len(text_R))
    np.minimum.at(lowest_U, root_U, first_U)
    return Near(lowest_U[root_U][text_R], search.twins_FU[:, text_R])


class _Search:
    """The state of a search over the distinct texts (U of them)."""

    def __init__(
        self, texts: Read, first_U: np.ndarray, rows_FU: np.ndarray, label_U: np.ndarray
    ) -> None:
        self._texts = texts
        self._first_U = first_U
        self._rows_FU = rows_FU
        self._label_U = label_U
        self._has_FU = rows_FU >= 0
        self._threshold_U = twin_threshold(texts.sizes[first_U])
        self.groups = Groups(len(first_U))
        on_both_sides_U = self._has_FU[0] & self._has_FU[1:].any(axis=0)
        self.twins_FU = np.where(on_both_sides_U, rows_FU, -1)

    def compare(self, left: np.ndarray, right: np.ndarray) -> None:
        """Verify those of the pairs that could tell something new, and take in what they tell."""
        lacking = np.zeros(len(left), dtype=bool)
        for side in range(len(self._rows_FU)):
            lacking |= self._lacks(left, right, side) | self._lacks(right, left, side)
        twin = np.minimum(self._threshold_U[left], self._threshold_U[right])
        needed = np.where(lacking, twin, GROUPED)
        chosen = np.flatnonzero(lacking | self.groups.apart(left, right))
        chosen = chosen[self._estimate(left[chosen], right[chosen]) >= needed[chosen] - _SLACK]
        left, right, twin = left[chosen], right[chosen], twin[chosen]
        likeness = self._likeness(left, right)
        joined, twins = likeness >= GROUPED, likeness >= twin
        self.groups.join(left[joined], right[joined])
        self._take_twins(left[twins], right[twins])
        self._take_twins(right[twins], left[twins])

    def _lacks(self, one: np.ndarray, other: np.ndarray, side: int) -> np.ndarray:
        """Which of `one` have no twin of kind `side` yet, and `other` would be one."""
        across = self._has_FU[1:, one].any(axis=0) if side == 0 else self._has_FU[0, one]
        alike = self._label_U[one] == self._label_U[other]
        return across & alike & self._has_FU[side, other] & (self.twins_FU[side, one] < 0)

    def _take_twins(self, one: np.ndarray, other: np.ndarray) -> None:
        for side, rows_U in enumerate(self._rows_FU):
            lacking = self._lacks(one, other, side)
            self.twins_FU[side, one[lacking]] = rows_U[other[lacking]]

    def _estimate(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """How alike the pairs are by their signatures."""
        estimate = np.zeros(len(left))
        for part in parts(np.full(len(left), HASHES), _ESTIMATED * HASHES):
            rows = self._first_U[left[part]], self._first_U[right[part]]
            estimate[part] = agreement(self._texts.signatures_RH, *rows)
        return estimate

    def _likeness(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """How alike the pairs are by their texts."""
        likeness = np.zeros(len(left))
        one, other = self._first_U[left], self._first_U[right]
        for part in parts(self._texts.sizes[one] + self._texts.sizes[other], _VERIFIED):
            likeness[part] = jaccard(self._texts.of(one[part]), self._texts.of(other[part]))
        return likeness
