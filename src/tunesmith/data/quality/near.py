"""Rows that say nearly the same: groups of them, and their twins in the other files.

Groups hold rows whose compared texts (`texts`) have shingles of a Jaccard similarity of `GROUPED`
or more. Candidates come from MinHash (`minhash`, with the chance that a pair is met), and each is
verified on the texts. Groups grow by chains, so a lower threshold would join what has nothing in
common. What is a copy across files is judged more finely, by words (`twins`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.data.quality.groups import Groups
from tunesmith.data.quality.minhash import agreement, candidates
from tunesmith.data.quality.shingles import jaccard
from tunesmith.data.quality.texts import Read, parts
from tunesmith.data.quality.twins import Distinct, twins

GROUPED = 0.7
_SLACK = 0.12
"""Pairs whose signatures agree less than the threshold by more than this are not verified: over 2.6
times the spread of the estimate."""
_ESTIMATED = 1 << 16
_VERIFIED = 1 << 22


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
    groups = _groups(texts, first_U)
    lowest_U = np.full(len(first_U), len(text_R))
    np.minimum.at(lowest_U, groups.first, first_U)
    found_FU = twins(Distinct(texts, first_U, rows_FU, known.label_R[first_U]))
    return Near(lowest_U[groups.first][text_R], found_FU[:, text_R])


def _groups(texts: Read, first_U: np.ndarray) -> Groups:
    """Groups of the distinct texts, each the text of the row `first_U`."""
    groups, count = Groups(len(first_U)), len(first_U)
    unlike = np.zeros(0, np.int64)
    for left, right in candidates(texts.signatures_RH[first_U]):
        likely = np.flatnonzero(groups.apart(left, right))
        estimate = _estimate(texts, first_U[left[likely]], first_U[right[likely]])
        pair = np.sort([left[likely], right[likely]], axis=0)[:, estimate >= GROUPED - _SLACK]
        met = np.setdiff1d(pair[0] * count + pair[1], unlike)
        one, other = np.divmod(met, count)
        joined = _likeness(texts, first_U[one], first_U[other]) >= GROUPED
        groups.join(one[joined], other[joined])
        unlike = np.concatenate([unlike, met[~joined]])
    return groups


def _estimate(texts: Read, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """How alike pairs of rows are by their signatures."""
    estimate = np.zeros(len(left))
    for start in range(0, len(left), _ESTIMATED):
        part = slice(start, start + _ESTIMATED)
        estimate[part] = agreement(texts.signatures_RH, left[part], right[part])
    return estimate


def _likeness(texts: Read, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """How alike pairs of rows are by their texts."""
    likeness = np.zeros(len(left))
    for part in parts(texts.sizes[left] + texts.sizes[right], _VERIFIED):
        pairs = np.concatenate([left[part], right[part]])
        rows, number = np.unique(pairs, return_inverse=True)
        likeness[part] = jaccard(texts.of(rows), *np.split(number, 2))
    return likeness
