"""Plain text and Markdown: a file is one document, a row with the field "text"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Row
from tunesmith.data.sources import limits
from tunesmith.data.sources.opened import Content
from tunesmith.data.sources.rows import (
    MARK,
    Block,
    Place,
    Placed,
    RowBlock,
    changed,
    decode_text,
    too_long,
)


def document_blocks(content: Content) -> Iterator[Block]:
    """The one row. Line ends are "\\n" in it, whatever they are in the file.

    An empty document is a row, too, so that the ledger tells of it.
    """
    yield RowBlock((_document(content),))


def document_again(content: Content, places: Sequence[Place]) -> Iterator[Row]:
    """The document. Raises DataError if it has another length than it had."""
    for place in places:
        placed = _document(content)
        if placed.size != place.size:
            raise DataError(changed(place.origin))
        yield placed.row


def _document(content: Content) -> Placed:
    data = content.at_most(limits.ROW)
    if data is None:
        raise too_long(content.path, 1, "the document")
    mark = len(data) - len(data.removeprefix(MARK))
    text = decode_text(content.path, data[mark:], 1, mark)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return Placed(Row(Origin(content.path, 1), {"text": text}), mark, len(data) - mark)
