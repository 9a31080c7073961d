"""The lines of plain text, Markdown and source code, and how strong a break stands before each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tunesmith.data.sources import limits
from tunesmith.data.sources.opened import Content
from tunesmith.data.sources.rows import MARK, decode_text, too_long
from tunesmith.data.sources.sections import LINE, PARAGRAPH, Line

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]|$)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_UNDERLINES = (re.compile(r" {0,3}=+[ \t]*$"), re.compile(r" {0,3}-+[ \t]*$"))

Strength = Callable[[str, bool, str], int]
"""The rank of the break before a line that is not blank: the line, whether it follows a blank one
(or nothing), and the line behind it."""


def plain_lines(content: Content) -> Iterator[Line]:
    """Plain text: paragraphs are divided by blank lines."""
    return _ranked(content, lambda line, after_blank, _: PARAGRAPH if after_blank else LINE)


def markdown_lines(content: Content) -> Iterator[Line]:
    """Markdown: headings, underlined ones too, and paragraphs; code between fences is neither."""
    return _ranked(content, _Markdown().rank)


def code_lines(content: Content) -> Iterator[Line]:
    """Source code: what begins at the margin behind a blank line is a definition of its own."""
    return _ranked(content, _code_rank)


def _code_rank(line: str, after_blank: bool, _: str) -> int:
    if not after_blank:
        return LINE
    return PARAGRAPH if line[0] in " \t" else 1


class _Markdown:
    """Knows whether a line stands between fences."""

    def __init__(self) -> None:
        self._fence = ""

    def rank(self, line: str, after_blank: bool, behind: str) -> int:
        """See `Strength`."""
        found = _FENCE.match(line)
        if self._fence:
            # A fence is closed by one at least as long, with nothing behind it.
            if found and found[1].startswith(self._fence) and line.strip() == found[1]:
                self._fence = ""
            return LINE
        if found:
            self._fence = found[1]
        elif heading := _HEADING.match(line):
            return len(heading[1])
        elif after_blank:
            for level, underline in enumerate(_UNDERLINES, start=1):
                if underline.match(behind) and not underline.match(line):
                    return level
        return PARAGRAPH if after_blank else LINE


def _ranked(content: Content, rank: Strength) -> Iterator[Line]:
    after_blank, held = True, ""
    number = 0
    for line in _lines(content):
        if held:
            number += 1
            yield Line(held, number, _rank(held, after_blank, line, rank))
            after_blank = not held.strip()
        held = line
    if held:
        yield Line(held, number + 1, _rank(held, after_blank, "", rank))


def _rank(line: str, after_blank: bool, behind: str, rank: Strength) -> int:
    """Blank lines belong to what stands before them."""
    return rank(line.rstrip("\n"), after_blank, behind.rstrip("\n")) if line.strip() else LINE


def _lines(content: Content) -> Iterator[str]:
    """The lines with their ends, which are "\\n", whatever they are in the file.

    Raises:
        DataError: a line is longer than any row, is not UTF-8, or holds a NUL.
    """
    data, line, at = content.next_lines(), 1, 0
    mark = len(data) - len(data.removeprefix(MARK))
    data, at = data[mark:], mark
    while data:
        ends = data.count(b"\n")
        if len(data) - data.rfind(b"\n") - 1 > limits.ROW:
            raise too_long(content.path, line + ends, "the line")
        text = decode_text(content.path, data, line, at)
        # Not splitlines: it takes U+2028 and others for line ends, too.
        parts = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        yield from (f"{part}\n" for part in parts[:-1])
        if parts[-1]:
            yield parts[-1]
        line, at = line + ends, at + len(data)
        data = content.next_lines()
