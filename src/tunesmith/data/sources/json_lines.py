"""JSON lines: one object a line, read as a stream of blocks that other processes parse."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Row
from tunesmith.data.sources import limits
from tunesmith.data.sources.json_rows import line_row, object_row
from tunesmith.data.sources.opened import Content
from tunesmith.data.sources.rows import (
    MARK,
    Block,
    Place,
    Placed,
    changed,
    decode,
    pieces,
    too_long,
)


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Whole lines of a file, not yet read: the first is line `line`, at byte `start`."""

    path: str
    line: int
    start: int
    data: bytes

    def rows(self) -> Iterator[Placed]:
        """The rows of the lines that are not blank."""
        decode(self.path, self.data, self.line, self.start)
        start = self.start
        # Not splitlines: JSON strings may hold U+2028 and others that it takes for line ends.
        for number, data in enumerate(self.data.split(b"\n"), start=self.line):
            line = data.decode()
            if line.strip():
                yield Placed(line_row(Origin(self.path, number), line), start, len(data))
            start += len(data) + 1


def holds_lines(head: bytes, more: bool) -> bool:
    """Whether a file that begins with the whole lines `head` is certainly no array.

    It is not if it begins with a brace and its first object ends on its line, with others behind
    it (in `head`, or as there is `more`), or is broken there: only an object that goes on, or that
    is alone, can be an array in a wrapper.
    """
    text = head.removeprefix(MARK).decode("utf-8", "ignore").lstrip()
    if text.startswith("["):
        return False
    line, _, others = text.partition("\n")
    if not (more or others.strip()):
        return False
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        return error.pos < len(line.rstrip())
    except (ValueError, RecursionError):
        return True
    return True


def line_blocks(content: Content) -> Iterator[Block]:
    """The rows, of which about a block is held at a time."""
    data = content.next_lines()
    line, start = 1, len(data) - len(data.removeprefix(MARK))
    data = data[start:]
    while data:
        lines = data.count(b"\n")
        _require_ends(content.path, line + lines, data)
        yield LineBlock(content.path, line, start, data)
        line, start = line + lines, start + len(data)
        data = content.next_lines()


def objects_again(content: Content, places: Sequence[Place]) -> Iterator[Row]:
    """The objects in these places, ascending; of JSON lines and of JSON arrays."""
    for place, data in zip(places, pieces(content.stream, places), strict=True):
        try:
            yield object_row(place.origin, json.loads(data.decode()))
        except (ValueError, RecursionError, DataError):
            raise DataError(changed(place.origin)) from None


def _require_ends(path: str, line: int, data: bytes) -> None:
    """Raises DataError if the last line, number `line`, goes on for longer than a row can be."""
    if len(data) - data.rfind(b"\n") - 1 > limits.ROW:
        raise too_long(path, line, "the line")
