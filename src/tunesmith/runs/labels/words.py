"""How a text falls into words: as those of the training rows did.

A row's words stand with a space between them, and so does a text that is asked: where the rows set
punctuation apart ("on", "Friday", "."), it is set apart there, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

SPACE, PUNCTUATION = "space", "punctuation"

_SPACED = re.compile(r"\S+")
# A mark between two letters or digits belongs to the word: o'clock, 3.50, e-mail, 11:30.
_APART = re.compile(r"\w+(?:[^\w\s]\w+)*|[^\w\s]")
_ENDED = re.compile(r"\w[.,;:!?]+")


class Word(NamedTuple):
    """Characters `start` to `end` (exclusive) of a text."""

    text: str
    start: int
    end: int


def break_of(words: Iterable[str]) -> str:
    """Where these words end: at SPACE only, where marks end words more often than they stand by
    themselves, else at PUNCTUATION, too."""
    ended = apart = 0
    for word in words:
        ended += _ENDED.fullmatch(word[-2:]) is not None
        apart += not any(letter.isalnum() for letter in word)
    return SPACE if ended > apart else PUNCTUATION


def words_of(text: str, at: str) -> list[Word]:
    """The words of a text, in order, with their places in it."""
    pattern = _SPACED if at == SPACE else _APART
    return [Word(found.group(), *found.span()) for found in pattern.finditer(text)]
