"""JSON arrays of objects, bare or in a wrapper ``{"data": [...]}``, held in memory whole."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin
from tunesmith.data.sources.json_lines import LineBlock
from tunesmith.data.sources.json_rows import FORMS, not_json, object_row
from tunesmith.data.sources.opened import Content
from tunesmith.data.sources.rows import MARK, Block, Placed, decode, in_blocks, start_of


def array_blocks(content: Content) -> Iterator[Block]:
    """The objects of an array; of a file that holds none after all, its lines."""
    path, data = content.path, content.whole("a JSON array")
    mark = len(data) - len(data.removeprefix(MARK))
    text = decode(path, data[mark:], 1, mark)
    if not text.strip():
        raise DataError(f"{path} is empty: it holds no rows. {FORMS}")
    opening = len(text) - len(text.lstrip())
    if text[opening] != "[":
        wrapped = _wrapped_array(text)
        if wrapped is None:
            yield LineBlock(path, 1, mark, data[mark:])
            return
        opening = wrapped
    empty = True
    for block in in_blocks(_items(path, text, opening, mark)):
        empty = False
        yield block
    if empty:
        raise DataError(f"{path} holds an empty list: there are no rows in it. {FORMS}")


def _items(path: str, text: str, start: int, mark: int) -> Iterator[Placed]:
    """The objects of the array that opens at `start`; the text begins at byte `mark`."""
    decoder = json.JSONDecoder()
    at, line, counted, index, byte = _skip(text, start + 1), 1, 0, 0, mark
    while not text.startswith("]", at):
        line, byte = line + text.count("\n", counted, at), byte + len(text[counted:at].encode())
        counted, index = at, index + 1
        origin = Origin(path, line, index)
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise not_json(origin, text[at:].split("\n", 1)[0], error) from None
        yield Placed(object_row(origin, value), byte, len(text[at:end].encode()))
        at = _skip(text, end)
        if text.startswith(",", at):
            at = _skip(text, at + 1)
        elif not text.startswith("]", at):
            follows = start_of(text[at:]) or "the end of the file"
            raise DataError(
                f"{origin}: the list is broken after the object that starts here: a comma or a "
                f"closing bracket should follow, not {follows}."
            )


def _wrapped_array(text: str) -> int | None:
    """Where the array opens if the whole text is one object ``{"data": [...]}``, else None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        return None
    return _opening(text)


def _opening(text: str) -> int | None:
    """The position of the bracket that opens the value of the outermost key "data"."""
    decoder = json.JSONDecoder()
    at = _skip(text, text.index("{") + 1)
    while not text.startswith("}", at):
        key, at = decoder.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)
        if key == "data" and text.startswith("[", at):
            return at
        at = _skip(text, decoder.raw_decode(text, at)[1])
        if text.startswith(",", at):
            at = _skip(text, at + 1)
    return None


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at
