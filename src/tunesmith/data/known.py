"""What a frozen model makes of rows, computed once and looked up from then on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.core.records import Origin, Tokens


class Known:
    """Features by the rows that they are of, float32; or log-probabilities of their tokens.

    Args:
        words: a row has a line of features for each of its tagged words, or learned tokens, else
            one.
    """

    def __init__(self, *, words: bool) -> None:
        self._words = words
        self._of: dict[tuple[Origin, int], np.ndarray] = {}

    def put(self, rows: Sequence[Tokens], features_RD: np.ndarray) -> None:
        """Keep the features of `rows`, which lie end to end."""
        ends = np.cumsum([self.lines(row) for row in rows])
        for row, lines in zip(rows, np.split(features_RD, ends[:-1]), strict=True):
            self._of[row.origin, row.part] = lines

    def of(self, rows: Sequence[Tokens]) -> np.ndarray | None:
        """The features of `rows`, end to end (R, D); None where one of them is not known."""
        found = [self._of.get((row.origin, row.part)) for row in rows]
        known = [lines for lines in found if lines is not None]
        return np.concatenate(known) if len(known) == len(found) else None

    def lines(self, row: Tokens) -> int:
        """How many lines of features a row has."""
        return int(np.count_nonzero(row.weights_N)) if self._words else 1
