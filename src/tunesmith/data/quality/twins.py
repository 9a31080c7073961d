"""Twins: training rows and rows that the model is judged on of which one is a copy of the other.

A copy is what an edit leaves of a row (`edits.alike`). Candidates come from MinHash (`minhash`),
and each is verified on the texts. Where rows are labelled texts, twins have the same label: one
word changed may make another class of it, and then nothing leaks.

Letters:  U distinct texts,  F kinds of files, of which 0 is training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.data.quality.edits import alike
from tunesmith.data.quality.minhash import across, agreement
from tunesmith.data.quality.texts import Read

_BYTES = (20, 40, 100, 400)
_LEAST = (0.12, 0.25, 0.35, 0.4)
"""Pairs whose signatures agree in a smaller share are not verified, by the bytes of the shorter
text. One word of seven changed leaves more, though it be a long one."""
_PAIRS = 32
"""Pairs of a text that are verified at most, so that crowds of alike texts cost little more."""
_ESTIMATED = 1 << 16
_VERIFIED = 1 << 12


@dataclass(frozen=True, slots=True)
class Distinct:
    """The distinct texts: where to read each, the rows that have it, and their label.

    `row_U` is its number among `texts`; `rows_FU` the first row of each kind of file, or −1.
    """

    texts: Read
    row_U: np.ndarray
    rows_FU: np.ndarray
    label_U: np.ndarray


def twins(distinct: Distinct) -> np.ndarray:
    """A row of each kind of file that is a twin of each text, or −1 (int64, F by U).

    Twins of training rows are looked for among the others, and theirs among the training rows.
    """
    search = _Search(distinct)
    for side in range(1, len(distinct.rows_FU)):
        search.between(side)
    return search.twins_FU


class _Search:
    """The state of a search."""

    def __init__(self, distinct: Distinct) -> None:
        self._distinct = distinct
        has_FU = distinct.rows_FU >= 0
        on_both_sides_U = has_FU[0] & has_FU[1:].any(axis=0)
        self.twins_FU = np.where(on_both_sides_U, distinct.rows_FU, -1)
        logs_U = np.log(np.maximum(distinct.texts.sizes[distinct.row_U], 1))
        self._least_U = np.interp(logs_U, np.log(_BYTES), _LEAST)

    def between(self, side: int) -> None:
        """Look for twins between the training rows and those of one other kind."""
        training, judging = (np.flatnonzero(self._distinct.rows_FU[at] >= 0) for at in (0, side))
        if len(training) and len(judging):
            left, right = self._candidates(training, judging)
            for start in range(0, len(left), _VERIFIED):
                part = slice(start, start + _VERIFIED)
                self._verify(left[part], right[part], side)

    def _candidates(
        self, training: np.ndarray, judging: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pairs that are worth verifying, those first that are most alike by their signatures."""
        signatures, row_U = self._distinct.texts.signatures_RH, self._distinct.row_U
        label_U, kept = self._distinct.label_U, _Likely(len(row_U))
        for met in across(signatures[row_U[training]], signatures[row_U[judging]]):
            pairs = np.stack([training[met[0]], judging[met[1]]])
            pairs = pairs[:, label_U[pairs[0]] == label_U[pairs[1]]]
            for start in range(0, pairs.shape[1], _ESTIMATED):
                left, right = pairs[:, start : start + _ESTIMATED]
                estimate = agreement(signatures, row_U[left], row_U[right])
                enough = estimate >= np.minimum(self._least_U[left], self._least_U[right])
                kept.take(left[enough], right[enough], estimate[enough])
        return kept.pairs()

    def _verify(self, left: np.ndarray, right: np.ndarray, side: int) -> None:
        """Take in which of these pairs of a training text and another are twins.

        A pair is not looked at where both have a twin already.
        """
        texts, row_U, rows_FU = self._distinct.texts, self._distinct.row_U, self._distinct.rows_FU
        twins_FU = self.twins_FU
        lacking = (twins_FU[side, left] < 0) | (twins_FU[0, right] < 0)
        left, right = left[lacking], right[lacking]
        pairs = zip(texts.of(row_U[left]), texts.of(row_U[right]), strict=True)
        found = np.fromiter((alike(*pair) for pair in pairs), bool, len(left))
        for one, other in zip(left[found].tolist(), right[found].tolist(), strict=True):
            if twins_FU[side, one] < 0:
                twins_FU[side, one] = rows_FU[side, other]
            if twins_FU[0, other] < 0:
                twins_FU[0, other] = rows_FU[0, one]


class _Likely:
    """The pairs that are most alike by their signatures: some of each text, not all of a crowd."""

    def __init__(self, texts: int) -> None:
        self._texts = texts
        self._code = np.empty(0, np.int64)
        self._estimate = np.empty(0)

    def take(self, left: np.ndarray, right: np.ndarray, estimate: np.ndarray) -> None:
        """More pairs, some of them known."""
        code, first = np.unique(
            np.concatenate([self._code, left * self._texts + right]), return_index=True
        )
        estimate = np.concatenate([self._estimate, estimate])[first]
        best = self._best(code // self._texts, estimate) | self._best(code % self._texts, estimate)
        self._code, self._estimate = code[best], estimate[best]

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """The texts of each pair, those first that are most alike."""
        order = np.argsort(-self._estimate, kind="stable")
        left, right = np.divmod(self._code[order], self._texts)
        return left, right

    @staticmethod
    def _best(text: np.ndarray, estimate: np.ndarray) -> np.ndarray:
        """Which pairs are among the `_PAIRS` most alike of a text."""
        order = np.lexsort((-estimate, text))
        ordered = text[order]
        first = np.searchsorted(ordered, ordered)
        best = np.zeros(len(text), dtype=bool)
        best[order] = np.arange(len(text)) - first < _PAIRS
        return best
