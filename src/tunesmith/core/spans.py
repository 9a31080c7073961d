"""Tags of words and the spans that they mark.

    O              outside of every span
    B-x  I-x       begins, and goes on in, a span of type x                          (BIO, IOB2)
    E-x  S-x       ends a span, and is one of a single word                          (BIOES)
    L-x  U-x       the same by other names                                           (BILOU)

A span begins at B, S or U, and also where I, E or L continue nothing: behind O, behind another
type, or behind a span that has ended. That is what the evaluation of CoNLL-2000 does (Tjong Kim
Sang & Buchholz 2000, `conlleval`), and it reads IO and IOB1, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

OUTSIDE = "O"
_TAG = re.compile(r"O|[BIESLU]-.+", re.DOTALL)


class Span(NamedTuple):
    """Words `start` to `end` (exclusive) are one of type `kind`."""

    kind: str
    start: int
    end: int


def is_tag(tag: str) -> bool:
    """Whether it is one of the tags above."""
    return _TAG.fullmatch(tag) is not None


def parts(tag: str) -> tuple[str, str]:
    """The letter and the type of a tag, which is empty for O."""
    letter, _, kind = tag.partition("-")
    return letter, kind


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of a row, in order; no two share a word."""
    found: list[Span] = []
    before = OUTSIDE
    for place, tag in enumerate(tags):
        letter, kind = parts(tag)
        if letter in "BSU" or (tag != OUTSIDE and not _goes_on(before, tag)):
            found.append(Span(kind, place, place + 1))
        elif tag != OUTSIDE:
            found[-1] = found[-1]._replace(end=place + 1)
        before = tag
    return found


def strays(tags: Sequence[str]) -> list[int]:
    """The places of I, E and L that continue nothing, where a span is taken to begin."""
    before = [OUTSIDE, *tags]
    return [
        place
        for place, tag in enumerate(tags)
        if parts(tag)[0] in "IEL" and not _goes_on(before[place], tag)
    ]


def _goes_on(before: str, tag: str) -> bool:
    """Whether a tag with I, E or L continues the span of the tag before it."""
    (earlier, of), (_, kind) = parts(before), parts(tag)
    return earlier in "BI" and of == kind
