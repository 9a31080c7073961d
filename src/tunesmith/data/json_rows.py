"""JSON text to rows, and the sentences about text that holds none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Row

FORMS = "Give a file of JSON lines (one object a line) or a JSON array of objects."
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Placed:
    """A row, and the bytes of its file in which its object stands."""

    row: Row
    start: int
    size: int


def line_row(origin: Origin, line: str) -> Row:
    """The row on one line. Raises DataError if it is not a JSON object."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(_not_json(origin, line.rstrip("\r"), error)) from None
    return object_row(origin, value)


def array(path: str, text: str, start: int, mark: int) -> Iterator[Placed]:
    """The objects of the JSON array that opens at `start`; the text begins at byte `mark`."""
    decoder = json.JSONDecoder()
    at, line, counted, index, byte = _skip(text, start + 1), 1, 0, 0, mark
    while not text.startswith("]", at):
        line, byte = line + text.count("\n", counted, at), byte + len(text[counted:at].encode())
        counted, index = at, index + 1
        origin = Origin(path, line, index)
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise DataError(_not_json(origin, text[at:].split("\n", 1)[0], error)) from None
        yield Placed(object_row(origin, value), byte, len(text[at:end].encode()))
        at = _skip(text, end)
        if text.startswith(",", at):
            at = _skip(text, at + 1)
        elif not text.startswith("]", at):
            raise DataError(
                f"{origin}: the list is broken after the object that starts here: a comma or a "
                f"closing bracket should follow, not {_start(text[at:]) or 'the end of the file'}."
            )


def wrapped_array(text: str) -> int | None:
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


def object_row(origin: Origin, value: Any) -> Row:
    """The row that a JSON value is. Raises DataError if it is no object."""
    if not isinstance(value, dict):
        received = _start(json.dumps(value, ensure_ascii=False))
        raise DataError(
            f"{origin}: a row must be a JSON object in braces; received {received}. {FORMS}"
        )
    return Row(origin, value)


def _not_json(origin: Origin, line: str, error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        column = f" (column {error.colno}: {error.msg})" if error.lineno == 1 else f" ({error.msg})"
    else:
        column = f" ({error})"
    return f"{origin}: this is not JSON{column}; it begins {_start(line)}. {FORMS}"


def _start(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
