"""What words are tagged as without this training: O, by memory, and by a learner on frozen states.

Shape legend: W words of all rows one behind the other, D features.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.spans import OUTSIDE
from tunesmith.evaluate.labels.measured import Rival, Said
from tunesmith.evaluate.labels.rivals import CONSTANT, LINEAR, SaysLabels

MEMORY = "memory"


class TagRivals:
    """Simple ways to tag words.

    Args:
        words: of each training row.
        tags: theirs.
        linear: from what the untrained base makes of words (W, D) to their tags, one a word, by
            the linear probe.
    """

    def __init__(
        self,
        words: Sequence[Sequence[str]],
        tags: Sequence[Sequence[str]],
        linear: SaysLabels,
    ) -> None:
        seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for row, marks in zip(words, tags, strict=True):
            for word, tag in zip(row, marks, strict=True):
                seen[word][tag] += 1
        self._memory = {word: counts.most_common(1)[0][0] for word, counts in seen.items()}
        self._linear = linear

    def judge(self, features_WD: NDArray[np.float32], rows: Sequence[Said]) -> tuple[Rival, ...]:
        """Each way on `rows`, whose words have these features (what `rows` say is not read)."""
        outside = [(OUTSIDE,) * len(row.words) for row in rows]
        known = [tuple(self._memory.get(word, OUTSIDE) for word in row.words) for row in rows]
        predicted = (tag for (tag,) in self._linear(features_WD))
        linear = [tuple(islice(predicted, len(row.words))) for row in rows]
        return (
            Rival(CONSTANT, "O for every word", _with(rows, outside)),
            Rival(
                MEMORY,
                "the commonest tag of the word in training",
                _with(rows, known),
                "of the training rows' words, letter by letter; O for a word that is in none",
            ),
            Rival(
                LINEAR,
                "logistic regression on the frozen base",
                _with(rows, linear),
                "on the states that the untrained base has of a word, standardised",
            ),
        )


def _with(rows: Sequence[Said], said: Sequence[tuple[str, ...]]) -> tuple[Said, ...]:
    return tuple(
        replace(row, said=each, sure=1.0, words=()) for row, each in zip(rows, said, strict=True)
    )
