"""Rows of a chat log to its messages, nested replies among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from tunesmith.core.records import Row
from tunesmith.data.formats.fields import Unusable, fail, kind_of, shown, told, whole
from tunesmith.data.formats.logs import Columns, columns_of, nested_in, plain
from tunesmith.data.formats.rows import renamed
from tunesmith.data.logs.times import READ, Moment, moment_of

_CALLED = ("name", "displayname", "username", "login", "email", "id")
"""Where an author is an object, what it is called by, the first that is there."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a message so that its whole conversation cannot be used.

    `reason` is the key that is counted, `sentence` is for the user.
    """

    reason: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Said:
    """One message.

    `place` is its file and line, and where in that row it is nested. `names` are those of its
    author and of the author's role. `parent` is the id of the message that it answers, or the place
    of the one that it is nested in. Either that or `conversation_id` says what it belongs to; a
    message without both opens a thread.
    """

    place: str
    names: tuple[str, ...]
    text: str
    id: str | None = None
    conversation_id: str | None = None
    parent: str | None = None
    moment: Moment | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class NotUsed:
    """A message that is in no conversation by itself: empty, or no message at all."""

    place: str
    reason: str
    sentence: str


def messages_of(row: Row, mapping: Mapping[str, str]) -> Iterator[tuple[Said | NotUsed, Columns]]:
    """The messages of a row, outer ones first, each with the columns that it was read by.

    Args:
        row: as it stood in the file.
        mapping: fields that are read under another name, `{"who": "author"}`.
    """
    place = str(row.origin)
    try:
        waiting: list[_Nested] = [_Nested(renamed(row.fields, mapping), place)]
    except Unusable as error:
        yield NotUsed(place, error.reason, str(error)), Columns()
        return
    while waiting:
        nested = waiting.pop()
        if not isinstance(nested.fields, Mapping):
            yield NotUsed(nested.place, "not_a_message", _no_object(nested.fields)), Columns()
            continue
        columns = columns_of(frozenset(nested.fields))
        below = nested_in(nested.fields)
        said = None
        if columns.message or not below:
            said = _read(nested, columns, answered=bool(below))
            yield said, columns
        inner = nested.inside(said, columns)
        found = [
            _Nested(each, f"{nested.place} {shown(name)} {number}", **inner)
            for name, items in below
            for number, each in enumerate(items, start=1)
        ]
        waiting += reversed(found)


@dataclass(frozen=True, slots=True)
class _Nested:
    """An object that may be a message, and what it is nested in."""

    fields: Any
    place: str
    conversation_id: str | None = None
    parent: str | None = None

    def inside(self, said: Said | NotUsed | None, columns: Columns) -> dict[str, str | None]:
        """What the messages nested in this one belong to: it, or the conversation that it is."""
        if isinstance(said, Said):
            return {"parent": said.place}
        names = (columns.conversation_id, columns.id)
        named = (_scalar(self.fields.get(name)) for name in names if name)
        own = next(filter(None, named), None) or self.place
        return {"conversation_id": self.conversation_id or own}


def _read(nested: _Nested, columns: Columns, answered: bool) -> Said | NotUsed:
    try:
        return _said(nested, columns, answered)
    except Unusable as error:
        return NotUsed(nested.place, error.reason, str(error))


def _said(nested: _Nested, columns: Columns, answered: bool) -> Said:
    """The message in an object; `answered` says that others are nested in it."""
    fields = nested.fields
    if columns.text is None:
        _refuse(fields)
    text = _text(fields, columns.text)
    conversation = nested.conversation_id or _value(fields, columns.conversation_id)
    parent = nested.parent
    if parent is not None:
        conversation = None  # the one of the message that it is nested in
    elif conversation is None:
        parent = _value(fields, columns.parent_id)
        if parent is None and columns.parent_id is None and not answered:
            _refuse_alone(columns)
    moment, fault = _moment(fields, columns.time)
    names = tuple(filter(None, (_name(fields, columns.author), _name(fields, columns.role))))
    if not names:
        fault = Fault("no_author", "Nobody is named as the author of this message.")
    return Said(
        nested.place,
        names,
        text,
        _value(fields, columns.id),
        conversation,
        parent,
        moment,
        fault,
    )


def _no_object(value: Any) -> str:
    return f"A message of a chat log must be an object with a text; received {told(value)}."


def _refuse(fields: Any) -> NoReturn:
    names = ", ".join(f'"{shown(str(name))}"' for name in list(fields)[:12])
    received = f"the fields {names}" if names else "no fields"
    fail(
        "not_a_message",
        f"This is no message of a chat log: it needs a text and an author; received {received}. "
        "Name the fields with --map, such as --map who=author --map said=text.",
    )


def _refuse_alone(columns: Columns) -> NoReturn:
    if columns.conversation_id is not None:
        fail("no_conversation", f'"{shown(columns.conversation_id)}" is empty in this message.')
    fail(
        "no_conversation",
        "Nothing says which conversation this message belongs to. Name the field with --map, such "
        "as --map ticket_no=conversation_id, or --map answers=parent_id for threads.",
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields[name]
    if value is None or (isinstance(value, str) and not value.strip()):
        fail("no_text", f'"{shown(name)}" is empty, so nothing was said in this message.')
    if not isinstance(value, str):
        fail("not_a_message", f'"{shown(name)}" must be a string; received {kind_of(value)}.')
    return whole(value.strip(), f'"{shown(name)}"')


def _moment(fields: Mapping[str, Any], name: str | None) -> tuple[Moment | None, Fault | None]:
    value = None if name is None else fields[name]
    if value is None or value == "":
        return None, None
    try:
        return moment_of(value), None
    except ValueError:
        sentence = f'"{shown(str(name))}" is {told(value)}, which is no time. {READ}.'
        return None, Fault("bad_time", sentence)


def _name(fields: Mapping[str, Any], name: str | None) -> str | None:
    value = None if name is None else fields[name]
    if isinstance(value, Mapping):
        known = {plain(str(inner)): value[inner] for inner in value}
        return next(filter(None, (_scalar(known.get(each)) for each in _CALLED)), None)
    return _scalar(value)


def _value(fields: Mapping[str, Any], name: str | None) -> str | None:
    return None if name is None else _scalar(fields[name])


def _scalar(value: Any) -> str | None:
    """The text of a name or number; None for nothing, and for what is neither."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return str(value).strip().encode("utf-8", "backslashreplace").decode() or None
