"""Which rows are copies of others, by looking at every pair: what a search is measured against.

A row is a copy of another if it differs from it by no more than an edit that is planted here: other
case and punctuation, a greeting at either end of the question, and either one word of ten replaced,
added, taken out or put before its neighbour (one word at least in the question, none in an answer
of under ten), or two letters. Rows of a class are copies only within it. Nothing of the search that
is measured is used but its spelling, `plain`.

Letters:  N rows that copies are looked for among.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.data.quality.view import plain

_GREETING = frozenset(["hello", "hi", "there", "good", "morning", "dear", "team", "thanks"])
_BITS = 256
_COUNTED = 32
_LETTERS = 2


class _Parts:
    """One part of every row, as words and as letters, with what tells most pairs apart at once."""

    def __init__(self, texts: Sequence[str], least: int) -> None:
        self._least = least
        self._texts = texts
        self._words_N = np.array([len(text.split()) for text in texts])
        self._bits_NB = np.array([_bits(text.split()) for text in texts])
        self._letters_NL = np.array([_letters(text) for text in texts])

    def maybe(self, text: str) -> np.ndarray:
        """Which rows have a part that may be a copy of this one (bool, N).

        A word that one has and the other lacks costs an edit, and so does a letter, which changes
        the counts of two at most.
        """
        words = text.split()
        lacking_N = np.bitwise_count(_bits(words) & ~self._bits_NB).sum(axis=1)
        changed_N = abs(self._letters_NL - _letters(text)).sum(axis=1)
        most = self._most(words)
        by_words_N = (lacking_N <= most) & (abs(self._words_N - len(words)) <= most)
        return by_words_N | (changed_N <= 2 * _LETTERS)

    def copies(self, text: str, at: int) -> bool:
        """Whether this row's part is a copy of it."""
        words, letters = text.split(), text.replace(" ", "")
        known, most = self._texts[at], self._most(words)
        few = min(_LETTERS, len(letters) // 10)
        return (
            _edits(words, known.split(), most) <= most
            or _edits(letters, known.replace(" ", ""), few) <= few
        )

    def _most(self, words: Sequence[str]) -> int:
        return max(self._least, len(words) // 10)


def copied(rows: Sequence[tuple[str, str]], others: Sequence[tuple[str, str]]) -> np.ndarray:
    """Which of `rows`, each a question and its answer or class, have a copy in `others` (bool)."""
    questions = _Parts([_question(row[0]) for row in others], least=1)
    answers = _Parts([plain(row[1]) for row in others], least=0)
    found = np.zeros(len(rows), dtype=bool)
    for number, row in enumerate(rows):
        question, answer = _question(row[0]), plain(row[1])
        near = np.flatnonzero(questions.maybe(question) & answers.maybe(answer)).tolist()
        found[number] = any(
            questions.copies(question, at) and answers.copies(answer, at) for at in near
        )
    return found


def _question(text: str) -> str:
    words = plain(text).split()
    while len(words) > 1 and words[0] in _GREETING:
        del words[0]
    while len(words) > 1 and words[-1] in _GREETING:
        del words[-1]
    return " ".join(words)


def _bits(words: Sequence[str]) -> np.ndarray:
    held = np.zeros(_BITS, dtype=bool)
    held[[hash(word) % _BITS for word in words]] = True
    return np.packbits(held).view(np.uint64)


def _letters(text: str) -> np.ndarray:
    letters = [ord(letter) % _COUNTED for letter in text if letter != " "]
    return np.bincount(letters, minlength=_COUNTED).astype(np.int16)


def _edits(one: Sequence[str], other: Sequence[str], most: int) -> int:
    """Damerau's distance if it is `most` or less, else something above it: by the table, of which
    only what lies near the diagonal is filled in."""
    table = [list(range(len(other) + 1))]
    for i, word in enumerate(one):
        row = [i + 1] + [most + 1] * len(other)
        for j in range(max(0, i - most), min(len(other), i + most + 1)):
            best = min(table[i][j] + (word != other[j]), table[i][j + 1] + 1, row[j] + 1)
            if i and j and word == other[j - 1] and one[i - 1] == other[j]:
                best = min(best, table[i - 1][j - 1] + 1)
            row[j + 1] = best
        table.append(row)
        if min(row) > most:
            return most + 1
    return table[-1][-1]
