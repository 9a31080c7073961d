"""The texts of an embedding run that are held against each other, each once.

Candidates are what a search goes through: the positives and negatives of held-out rows, and of
trained rows as distractors. To an anchor belong the positives of all of these rows that have it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.records import Example, Origin, Tokens
from tunesmith.data.labelled import texts_of
from tunesmith.data.lay import text_number
from tunesmith.evaluate.embeddings.figures import ranks_of
from tunesmith.evaluate.embeddings.measured import Asked
from tunesmith.evaluate.retrieval import Index, words_of

Floats = NDArray[np.float32]
Likeness = Callable[[Tokens], Floats]
"""From an anchor to how near it is to each candidate (C)."""


class Pool:
    """The texts of some rows.

    Args:
        held_out: the sequences of held-out rows, each row with all of its own.
        trained: those of trained rows.
    """

    def __init__(self, held_out: Sequence[Tokens], trained: Sequence[Tokens]) -> None:
        self._places: dict[int, int] = {}
        self.texts: list[Tokens] = []
        for text in (*held_out, *trained):
            if self._places.setdefault(text_number(text), len(self.texts)) == len(self.texts):
                self.texts.append(text)
        sides = [{self.place(text) for text in side if text.part} for side in (held_out, trained)]
        self._candidates = sorted(sides[0] | sides[1])
        self.distractors = len(sides[1] - sides[0])
        number = {place: count for count, place in enumerate(self._candidates)}
        self._belonging: defaultdict[int, set[int]] = defaultdict(set)
        for anchor, positive in _pairs((*held_out, *trained)):
            self._belonging[self.place(anchor)].add(number[self.place(positive)])

    def __len__(self) -> int:
        return len(self._candidates)

    @property
    def candidates(self) -> list[Tokens]:
        """What is searched."""
        return [self.texts[place] for place in self._candidates]

    def place(self, text: Tokens) -> int:
        """Where a text stands in `texts`."""
        return self._places[text_number(text)]

    def searched(
        self, rows: Sequence[Tokens], near: Likeness, written: Mapping[Origin, Example]
    ) -> tuple[Asked, ...]:
        """What a search finds with the anchor of each row. `written` has the texts to show."""
        found = []
        candidates = self.candidates
        for anchor, positive in _pairs(rows):
            near_C = near(anchor)
            ranks = ranks_of(near_C, sorted(self._belonging[self.place(anchor)]))
            first = candidates[int(near_C.argmax())]
            text, wanted, nearest = (said(each, written) for each in (anchor, positive, first))
            found.append(Asked(anchor.origin, ranks, text=text, wanted=wanted, found=nearest))
        return tuple(found)

    def by_vectors(self, unit_UD: Floats) -> Likeness:
        """Cosine, given the vector of each of `texts` at length 1."""
        candidate_CD = unit_UD[self._candidates]
        return lambda anchor: candidate_CD @ unit_UD[self.place(anchor)]

    def by_words(self, written: Mapping[Origin, Example]) -> Likeness:
        """BM25 over the texts as they are written."""
        index = Index([said(each, written) for each in self.candidates])

        def near(anchor: Tokens) -> Floats:
            order = index.nearest(said(anchor, written), len(self))
            near_C = np.zeros(len(self), dtype=np.float32)
            near_C[order] = np.arange(len(order), 0, -1)
            return near_C

        return near

    def compared(self, rows: Sequence[Tokens], unit_UD: Floats) -> tuple[Asked, ...]:
        """The cosine of each scored pair."""
        found = []
        for anchor, other in _pairs(rows):
            likeness = float(unit_UD[self.place(anchor)] @ unit_UD[self.place(other)])
            found.append(Asked(anchor.origin, (), float(anchor.labels[0]), likeness))
        return tuple(found)


def shared_words(rows: Sequence[Tokens], written: Mapping[Origin, Example]) -> tuple[Asked, ...]:
    """The share of the words of each scored pair that both have (Jaccard 1901)."""
    found = []
    for anchor, other in _pairs(rows):
        ours, theirs = (set(words_of(said(each, written))) for each in (anchor, other))
        likeness = len(ours & theirs) / max(1, len(ours | theirs))
        found.append(Asked(anchor.origin, (), float(anchor.labels[0]), likeness))
    return tuple(found)


def said(text: Tokens, written: Mapping[Origin, Example]) -> str:
    """A sequence as it is written in its row; "" where the row was not read again."""
    example = written.get(text.origin)
    return "" if example is None else texts_of(example)[text.part]


def _pairs(rows: Sequence[Tokens]) -> list[tuple[Tokens, Tokens]]:
    """The anchor and the positive of each row."""
    return [(one, other) for one, other in pairwise(rows) if one.part == 0 and other.part == 1]
