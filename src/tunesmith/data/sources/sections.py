"""A long document becomes several rows, cut where its structure is strongest.

What a user of continued training expects: no word is lost, doubled or moved; a row is a section and
not a book, so that some of a book can be held out and one damaged page costs one row; a short
document stays one row. So a document of at most `limits.SECTION` characters is one row, whatever it
holds. A longer one is filled into rows of at most that many, and each ends before the strongest
break within its reach: a heading of level 1, else of level 2 and so on, else a page, a paragraph, a
line, and only in a line longer than a row the end of a sentence, of a word, or none. Of equal
breaks it is the last, so that short sections stay together. The rows joined are the document.

It is a function of the text alone, never of a tokenizer, and looks one row ahead: memory does not
grow with the document, and an edit changes the rows near it, not all that follow a chapter's head.
To the model each row is a text of its own, with the start and end that its tokenizer has; rows
longer than the context are cut again, by tokens, as any text is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tunesmith.data.sources import limits

PAGE, PARAGRAPH, LINE, SENTENCE, WORD, NONE = range(7, 13)
"""Breaks from strong to weak. Headings are 1 to 6, by their level."""

_SENTENCE = re.compile(
    r"""[.!?\u2026]["'\u201d\u2019)\]]*\s+"""
    r"|[\u3002\uff01\uff1f][\u300d\u300f\u201d\u2019\uff09]*"  # of Chinese and Japanese
)
_WORD = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a document's text, with its end.

    `number` says where it stands: its line, page or paragraph, from 1. `rank` is how strong a break
    is before it, 1 the strongest.
    """

    text: str
    number: int
    rank: int = LINE


@dataclass(frozen=True, slots=True)
class Section:
    """The text of a row, and the line, page or paragraph on which it begins."""

    text: str
    number: int


def sections(lines: Iterable[Line]) -> Iterator[Section]:
    """The rows of a document; none if it has no lines. Joined they are the lines joined."""
    held: list[Line] = []
    size = 0
    for line in _short(lines):
        held.append(line)
        size += len(line.text)
        while size > limits.SECTION:
            cut = min(range(1, len(held)), key=lambda at: (held[at].rank, -at))
            section, held = _section(held[:cut]), held[cut:]
            size -= len(section.text)
            yield section
    if held:
        yield _section(held)


def _section(lines: list[Line]) -> Section:
    return Section("".join(line.text for line in lines), lines[0].number)


def _short(lines: Iterable[Line]) -> Iterator[Line]:
    """The lines, those longer than a row in pieces that are not."""
    for line in lines:
        text, rank = line.text, line.rank
        at = 0
        while len(text) - at > limits.SECTION:
            end, behind = _inside(text, at, at + limits.SECTION)
            yield Line(text[at:end], line.number, rank)
            at, rank = end, behind
        yield Line(text[at:] if at else text, line.number, rank)


def _inside(text: str, start: int, end: int) -> tuple[int, int]:
    """The last place in the second half of a stretch where it may be cut, and its rank."""
    half = (start + end + 1) // 2
    for rank, pattern in ((SENTENCE, _SENTENCE), (WORD, _WORD)):
        places = [found.end() for found in pattern.finditer(text, half, end)]
        if places:
            return places[-1], rank
    return end, NONE
