"""Each rated answer, and behind it its question with the answer to another one.

How likely a tuned model has become to say *anything* is seen where answers are no answers: KTO
measures its point of reference there (Ethayarajh et al. 2024, §4.1). Who lends whom an answer is
settled once, so that what the reference model says of it can be computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import overload

import numpy as np

from tunesmith.core.records import Tokens

MISMATCHED = 2
"""`Tokens.part` of a question with the answer to another one: this, and the part of its own."""


class WithMismatched(Sequence[Tokens]):
    """Rated answers, each followed by its mismatched one; made when they are asked for.

    `row_N` says which of the rated answers each sequence belongs to. An answer to whose question
    all others answer, too, or whose question fills `longest` tokens, stands alone.
    """

    def __init__(self, rated: Sequence[Tokens], longest: int) -> None:
        self._rated = rated
        self._longest = longest
        names, lengths = [], []
        for ids_N in map(_question, rated):
            names.append(_digest(ids_N))
            lengths.append(len(ids_N))
        self._partner_N = partners(names)
        self._partner_N[np.array(lengths, dtype=np.int64) >= longest] = -1
        self.row_N = np.repeat(np.arange(len(rated)), 1 + (self._partner_N >= 0))
        self._second_N = np.diff(self.row_N, prepend=-1) == 0

    def __len__(self) -> int:
        return len(self.row_N)

    @overload
    def __getitem__(self, place: int) -> Tokens: ...
    @overload
    def __getitem__(self, place: slice) -> list[Tokens]: ...
    def __getitem__(self, place: int | slice) -> Tokens | list[Tokens]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        row = int(self.row_N[place])
        if not self._second_N[place]:
            return self._rated[row]
        return _joined(self._rated[row], self._rated[int(self._partner_N[row])], self._longest)


def partners(questions: Sequence[bytes]) -> np.ndarray:
    """For each answer, by its question, another to another question; −1 where there is none left.

    No answer is lent twice. Ordered by question, the answers are moved on by as many places as the
    question has that has most, so none comes back to its own question unless that has over half.
    """
    order = np.array(sorted(range(len(questions)), key=questions.__getitem__), dtype=np.int64)
    keys = np.array(questions, dtype=object)[order]
    most = int(np.unique(keys, return_counts=True)[1].max(initial=0))
    partner_N = np.empty(len(order), dtype=np.int64)
    partner_N[order] = np.where(keys == np.roll(keys, -most), -1, np.roll(order, -most))
    return partner_N


def _question(tokens: Tokens) -> np.ndarray:
    """The ids before the first that is learned."""
    return tokens.ids_N[: int(np.argmax(tokens.weights_N > 0))]


def _digest(ids_N: np.ndarray) -> bytes:
    """A name of a question; in the order of names neighbours have nothing to do with each other."""
    return blake2b(ids_N.astype("<i4").tobytes(), digest_size=8).digest()


def _joined(asked: Tokens, answered: Tokens, longest: int) -> Tokens:
    """The question of one with the answer of the other, cut off at `longest` tokens."""
    question_N = _question(asked)
    answer = slice(len(_question(answered)), None)
    weights = (np.zeros(len(question_N), dtype=np.float32), answered.weights_N[answer])
    return Tokens(
        origin=asked.origin,
        ids_N=np.concatenate([question_N, answered.ids_N[answer]])[:longest],
        weights_N=np.concatenate(weights)[:longest],
        learned_bytes=answered.learned_bytes,
        part=MISMATCHED + asked.part,
        images=asked.images,
    )
