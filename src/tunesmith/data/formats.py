"""What a row means: one small function per format, one table, told apart by field names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, NoReturn, get_args

from tunesmith.core.records import (
    Chat,
    Completion,
    Content,
    Example,
    Finding,
    Message,
    Role,
    Row,
    Text,
)

_ROLES: tuple[str, ...] = get_args(Role)
_MAY_FOLLOW: Mapping[str, tuple[str, ...]] = {
    "": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}


class _Unusable(Exception):
    """Leaves the functions of this file as a Finding, never as an exception."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Format:
    """A form of row: the fields that mark it, and how they are read."""

    fields: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], Content]


@dataclass(frozen=True, slots=True)
class Detected:
    """What became of each row, in order (a Finding is a drop), and the warnings."""

    rows: list[Example | Finding]
    warnings: list[Finding]


def detect(rows: Iterable[Row]) -> Detected:
    """Understand every row by its fields; one file may mix formats.

    Fields that no format reads are ignored and named once a file by a warning "extra_fields".
    """
    read: list[Example | Finding] = []
    extras: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        read.append(understand(row))
        if isinstance(read[-1], Example):
            extras[row.origin.path].update(extra_fields(row))
    return Detected(read, [unused(path, counts) for path, counts in extras.items() if counts])


def understand(row: Row) -> Example | Finding:
    """One row as an Example, or the reason why it cannot be one (severity "drop")."""
    try:
        return Example(row.origin, _format(row.fields).read(row.fields))
    except _Unusable as error:
        return Finding(error.reason, str(error), "drop", row.origin)


def _chat(fields: Mapping[str, Any]) -> Chat:
    turns = fields["messages"]
    if not isinstance(turns, list):
        _fail("wrong_type", f'"messages" must be a list; received {_kind(turns)}.')
    messages = tuple(_message(number, turn) for number, turn in enumerate(turns, start=1))
    _check_order([message.role for message in messages])
    for number, message in enumerate(messages, start=1):
        if message.role in ("assistant", "user") and not message.content.strip():
            reason = "empty_answer" if message.role == "assistant" else "empty_prompt"
            _fail(reason, f"Message {number} ({message.role}) is empty; give it a text.")
    return Chat(messages)


def _completion(fields: Mapping[str, Any]) -> Completion:
    prompt, completion = _string(fields, "prompt"), _string(fields, "completion")
    if not prompt.strip():
        _fail("empty_prompt", '"prompt" is empty; give it a text, or use "text" for documents.')
    if not completion.strip():
        _fail("empty_answer", '"completion" is empty: there is nothing to learn; give it a text.')
    return Completion(prompt, completion)


def _text(fields: Mapping[str, Any]) -> Text:
    text = _string(fields, "text")
    if not text.strip():
        _fail("empty_text", '"text" is empty: there is nothing to learn; give it a text.')
    return Text(text)


FORMATS: tuple[Format, ...] = (
    Format(("messages",), _chat),
    Format(("prompt", "completion"), _completion),
    Format(("text",), _text),
)


def _format(fields: Mapping[str, Any]) -> Format:
    for form in FORMATS:
        if all(name in fields for name in form.fields):
            return form
    accepted = "; ".join(" and ".join(f'"{name}"' for name in form.fields) for form in FORMATS)
    known = [name for form in FORMATS for name in form.fields]
    strange = [name for name in fields if name not in known]
    close = [(name, match) for name in strange for match in get_close_matches(name, known, n=1)]
    hint = f' Did you mean "{close[0][1]}" for "{close[0][0]}"?' if close else ""
    received = ", ".join(f'"{name}"' for name in fields) or "none"
    _fail("wrong_keys", f"Fields received: {received}; accepted forms: {accepted}.{hint}")


def _message(number: int, turn: Any) -> Message:
    if not isinstance(turn, dict) or "role" not in turn or "content" not in turn:
        received = f"the fields {', '.join(turn)}" if isinstance(turn, dict) else _kind(turn)
        _fail(
            "wrong_type",
            f'Message {number} must be an object with "role" and "content"; received {received}.',
        )
    role = turn["role"]
    if role not in _ROLES:
        _fail(
            "unknown_role",
            f"Message {number} has the role {role!r}; the roles are {', '.join(_ROLES)}.",
        )
    return Message(role, _string(turn, "content", f"message {number}: "))


def _check_order(roles: Sequence[str]) -> None:
    for number, (before, role) in enumerate(pairwise(["", *roles]), start=1):
        if role not in _MAY_FOLLOW[before]:
            place = f"after {before}" if before else "first"
            _fail(
                "roles_order",
                f"Message {number} is from {role}, but {place} comes "
                f"{' or '.join(_MAY_FOLLOW[before])}; received {', '.join(roles)}. One system "
                "message may open a conversation, then user and assistant take turns.",
            )
    if "assistant" not in roles:
        _fail("nothing_to_learn", "No message is from the assistant: there is nothing to learn.")
    if roles[-1] != "assistant":
        _fail(
            "nothing_to_learn",
            f"The last message is from {roles[-1]}: there is no answer to learn from it. End the "
            "conversation with the assistant's answer.",
        )


def _string(fields: Mapping[str, Any], name: str, where: str = "") -> str:
    value = fields[name]
    if not isinstance(value, str):
        _fail("wrong_type", f'{where}"{name}" must be a string; received {_kind(value)}.')
    try:
        value.encode()
    except UnicodeEncodeError as error:
        _fail(
            "wrong_type",
            f'{where}"{name}" holds half of a surrogate pair at character {error.start + 1}, which '
            "is no text. Write the whole character.",
        )
    return value


def extra_fields(row: Row) -> set[str]:
    """The fields of an understood row that its format does not read."""
    fields = row.fields
    extra = set(fields) - set(_format(fields).fields)
    if "messages" in fields:
        read = {"role", "content"}
        extra |= {f"messages.{name}" for turn in fields["messages"] for name in set(turn) - read}
    return extra


def unused(path: str, counts: Counter[str]) -> Finding:
    """The warning that fields of a file are not used, from the rows that have each."""
    named = ", ".join(f'"{name}" ({rows} rows)' for name, rows in sorted(counts.items()))
    return Finding("extra_fields", f"{path}: these fields are not used: {named}.", "warn")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def _fail(reason: str, message: str) -> NoReturn:
    raise _Unusable(reason, message)
