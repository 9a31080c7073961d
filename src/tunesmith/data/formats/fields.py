"""What every reader of rows needs: values of the right type, and the sentences about all others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

_SHOWN = 60


class Unusable(Exception):
    """A row that cannot be read; leaves this package as a Finding, never as an exception."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def fail(reason: str, message: str) -> NoReturn:
    """Raises Unusable: `reason` is the key in the ledger, `message` the sentence to the user."""
    raise Unusable(reason, message)


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    names |= {int: "a number", float: "a number", type(None): "null"}
    return names.get(type(value), f"a {type(value).__name__}")


def shown(text: str) -> str:
    """A text from a row as a sentence may hold it: short, and without half characters."""
    safe = text[:_SHOWN].encode("utf-8", "backslashreplace").decode()
    return safe if len(text) <= _SHOWN else f"{safe}…"


def told(value: Any) -> str:
    """A value from a row as a sentence may hold it: itself if it is short, else its kind."""
    return shown(repr(value)) if isinstance(value, str | int | float) else kind_of(value)


def string(fields: Mapping[str, Any], name: str, where: str = "") -> str:
    """The text in a field. `where` begins the sentence if there is none: "message 2: "."""
    value = fields[name]
    if not isinstance(value, str):
        fail("wrong_type", f'{where}"{name}" must be a string; received {kind_of(value)}.')
    return whole(value, f'{where}"{name}"')


def whole(text: str, what: str) -> str:
    """The text, if UTF-8 can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        fail(
            "wrong_type",
            f"{what} holds half of a surrogate pair at character {error.start + 1}, which is no "
            "text. Write the whole character.",
        )
    return text


def optional(fields: Mapping[str, Any], name: str, where: str = "") -> str:
    """The text in a field; empty where the field is missing or null."""
    return "" if fields.get(name) is None else string(fields, name, where)


def filled(fields: Mapping[str, Any], name: str, reason: str, advice: str) -> str:
    """The text in a field, not blank; `advice` says what to do about a blank one."""
    text = string(fields, name)
    if not text.strip():
        fail(reason, f'"{name}" is empty{advice}')
    return text


def unpacked(value: Any, what: str, reason: str) -> Any:
    """A JSON value that may have been written as a text: what the text spells."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else None
    except (ValueError, RecursionError):
        fail(reason, f"{what} must be JSON; received the text {shown(value)!r}.")


def packed(value: Any, what: str) -> str:
    """The text of a JSON value, one text for equal values."""
    try:
        return whole(json.dumps(value, ensure_ascii=False, default=str), what)
    except RecursionError:
        fail("wrong_type", f"{what} is nested too deeply to be read. Make it flatter.")
