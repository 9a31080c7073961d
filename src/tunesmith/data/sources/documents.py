"""Documents to rows with the field "text": what text, Markdown, code, PDF, DOCX and HTML share.

A form of document is a function from an open file to the lines of its text. `sections` says which
of them make a row. A row is found again by its place in that text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Row
from tunesmith.data.sources.opened import Content, opened
from tunesmith.data.sources.rows import Block, Place, Placed, changed, in_blocks
from tunesmith.data.sources.sections import Line, sections

Lines = Callable[[Content], Iterable[Line]]
"""The lines of a document's text, in order, their ends "\\n". Raises DataError if it has none."""


@dataclass(frozen=True, slots=True)
class FileBlock:
    """All rows of a document that takes long to read, made by the process that asks for them."""

    path: str
    lines: Lines

    def rows(self) -> Iterator[Placed]:
        """The rows. Raises DataError as `lines` does."""
        with opened(self.path) as content:
            yield from placed(self.lines, content)


def text_blocks(lines: Lines, content: Content) -> Iterator[Block]:
    """The rows of a document that is read as a stream."""
    return in_blocks(placed(lines, content))


def file_blocks(lines: Lines, content: Content) -> Iterator[Block]:
    """The one block of a document that must be taken apart; see `FileBlock`."""
    yield FileBlock(content.path, lines)


def document_again(lines: Lines, content: Content, places: Sequence[Place]) -> Iterator[Row]:
    """The rows in these places, ascending. Raises DataError where there is none any more."""
    rows = placed(lines, content)
    for place in places:
        found = next((each for each in rows if each.start >= place.start), None)
        if found is None or _place(found) != place:
            raise DataError(changed(place.origin))
        yield found.row


def placed(lines: Lines, content: Content) -> Iterator[Placed]:
    """The rows, with the bytes of the document's text (as UTF-8) in which they stand.

    Where several rows begin on one line, page or paragraph, those after the first are numbered. An
    empty document is a row, too, so that the ledger tells of it.
    """
    start = number = count = 0
    for section in sections(lines(content)):
        count = count + 1 if section.number == number else 1
        number = section.number
        origin = Origin(content.path, number, count if count > 1 else None)
        size = len(section.text.encode())
        yield Placed(Row(origin, {"text": section.text}), start, size)
        start += size
    if not number:
        yield Placed(Row(Origin(content.path, 1), {"text": ""}), 0, 0)


def _place(each: Placed) -> Place:
    return Place(each.row.origin, each.start, each.size)
