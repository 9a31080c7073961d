"""A list of messages, as OpenAI's chat API and most data files spell it.

`content` is a text, or a list of parts; `weight` (0 or 1) and `train` (true or false) say whether
an assistant's turn is learned. Roles of older and newer spellings are read too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, cast, get_args

from tunesmith.core.records import Image, Message, Role, ToolCall
from tunesmith.data.formats.fields import (
    fail,
    kind_of,
    optional,
    shown,
    string,
    told,
    unpacked,
)
from tunesmith.data.formats.pictures import PARTS, part_name
from tunesmith.data.formats.tools import call, calls_of

KEYS = frozenset(
    {
        "role",
        "content",
        "weight",
        "train",
        "name",
        "tool_calls",
        "tool_call_id",
        "function_call",
        "reasoning_content",
    }
)
"""What is read of a message."""

_ROLES: tuple[str, ...] = get_args(Role)
_OTHER_NAMES = {"developer": "system", "function": "tool"}
_MAY_FOLLOW: Mapping[str, tuple[str, ...]] = {
    "": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}
_SPOKEN = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_THOUGHT = ("reasoning", "thinking")
_MEDIA = ("image", "audio", "video", "file")


def conversation(
    value: Any, name: str = "messages", system: str = "", *, pictures: bool = False
) -> tuple[Message, ...]:
    """The messages of a field, none of them empty, in an order that a conversation can have.

    Args:
        value: what stands in the field.
        name: the field's name.
        system: a system message given beside the list; it opens the conversation.
        pictures: whether users may show some.
    """
    messages = listed(value, name, pictures=pictures)
    if system.strip():
        messages = (Message("system", system), *messages)
    check_order([message.role for message in messages])
    check_filled(messages)
    return messages


def listed(value: Any, name: str, *, pictures: bool = False) -> tuple[Message, ...]:
    """The messages of a field, each by itself."""
    if not isinstance(value, list):
        fail("wrong_type", f'"{name}" must be a list; received {kind_of(value)}.')
    return tuple(_message(number, turn, pictures) for number, turn in enumerate(value, start=1))


def require_answer(messages: Sequence[Message]) -> None:
    """Check that the conversation ends with an answer, and that one of its answers is learned."""
    roles = [message.role for message in messages]
    if "assistant" not in roles:
        fail("nothing_to_learn", "No message is from the assistant: there is nothing to learn.")
    if roles[-1] != "assistant":
        fail(
            "nothing_to_learn",
            f"The last message is from {roles[-1]}: there is no answer to learn from it. End the "
            "conversation with the assistant's answer.",
        )
    if not any(message.learned for message in messages):
        fail(
            "nothing_to_learn",
            "Every message from the assistant has weight 0: there is nothing to learn. Give the "
            "weight 1 to those that should be learned.",
        )


def check_order(roles: Sequence[str]) -> None:
    """Check that user and assistant take turns."""
    for number, (before, role) in enumerate(pairwise(["", *roles]), start=1):
        if role not in _MAY_FOLLOW[before]:
            place = f"after {before}" if before else "first"
            fail(
                "roles_order",
                f"Message {number} is from {role}, but {place} comes "
                f"{' or '.join(_MAY_FOLLOW[before])}; received {_some(roles)}. One system "
                "message may open a conversation, then user and assistant take turns.",
            )


def check_filled(messages: Sequence[Message]) -> None:
    """Check that user and assistant say something in each of their turns."""
    for number, message in enumerate(messages, start=1):
        spoken = message.content.strip() or message.tool_calls or message.images
        if message.role in ("assistant", "user") and not spoken:
            reason = "empty_answer" if message.role == "assistant" else "empty_prompt"
            fail(reason, f"Message {number} ({message.role}) is empty; give it a text.")


def _message(number: int, turn: Any, pictures: bool) -> Message:
    calling = isinstance(turn, dict) and (turn.get("tool_calls") or turn.get("function_call"))
    if not isinstance(turn, dict) or "role" not in turn or not ("content" in turn or calling):
        received = f"the fields {_some(list(turn))}" if isinstance(turn, dict) else kind_of(turn)
        fail(
            "wrong_type",
            f'Message {number} must be an object with "role" and "content"; received {received}.',
        )
    role, where = _role(number, turn["role"]), f"message {number}: "
    nothing = calling and turn.get("content") is None
    said = _Said() if nothing else _content(turn, where, pictures)
    calls = (*calls_of(turn, where), *said.calls) if calling else said.calls
    if calls and role != "assistant":
        fail("bad_tool_call", f"Message {number} ({role}) calls a tool; only the assistant can.")
    if said.images and role != "user":
        fail("image_role", f"Message {number} ({role}) shows a picture; only the user can.")
    return Message(
        role,
        said.text,
        tool_calls=calls,
        tool_call_id=optional(turn, "tool_call_id", where) or None,
        name=optional(turn, "name", where) or None,
        reasoning=optional(turn, "reasoning_content", where) or said.thought,
        weight=_weight(turn, role, number),
        images=said.images,
    )


def _role(number: int, role: Any) -> Role:
    known = _OTHER_NAMES.get(role, role) if isinstance(role, str) else role
    if known not in _ROLES:
        fail(
            "unknown_role",
            f"Message {number} has the role {told(role)}; the roles are {', '.join(_ROLES)}.",
        )
    return cast(Role, known)


def _weight(turn: Mapping[str, Any], role: str, number: int) -> Literal[0, 1]:
    if "weight" not in turn and "train" not in turn:
        return 1
    given = {name: turn[name] for name in ("weight", "train") if turn.get(name) is not None}
    for name, value in given.items():
        if value not in (0, 1):  # true and false are 1 and 0
            fail(
                "bad_weight",
                f'Message {number}: "{name}" must be 0 or 1, false or true; received '
                f"{told(value)}.",
            )
        if value and role != "assistant":
            fail(
                "bad_weight",
                f'Message {number} ({role}) is to be learned by its "{name}", but only the '
                f'assistant\'s messages are. Leave its "{name}" out, or give it 0.',
            )
    if len(set(given.values())) > 1:
        fail("bad_weight", f'Message {number}: "weight" and "train" contradict each other.')
    return 1 if role != "assistant" or all(given.values()) else 0


@dataclass(frozen=True, slots=True)
class _Said:
    """The text of a message, the thoughts before it, and calls and pictures among its parts."""

    text: str = ""
    thought: str = ""
    calls: tuple[ToolCall, ...] = ()
    images: tuple[Image, ...] = ()


def _content(turn: Mapping[str, Any], where: str, pictures: bool) -> _Said:
    """What a message says.

    Parts of text are joined by line ends, as vLLM joins them when it serves; where a picture stands
    between two, by nothing.
    """
    content = turn["content"]
    if not isinstance(content, list):
        return _Said(string(turn, "content", where))
    text, thoughts, calls, images = "", [], [], []
    after_text = False
    for number, part in enumerate(content, start=1):
        kind = _part_kind(part, number, where)
        place = f"{where}part {number}: "
        if kind in _SPOKEN:
            text += "\n" * after_text + _part_text(part, _SPOKEN[kind], place)
            after_text = True
        elif kind in _THOUGHT:
            thoughts.append(_part_text(part, kind, place))
        elif kind == "tool_call":
            value = unpacked(part.get("value"), f"{place}a tool call", "bad_tool_call")
            calls.append(call(value, place))
        elif kind in PARTS and pictures:
            images.append(Image(part_name(part, place), "", len(text)))
            after_text = False
        else:
            _refuse_part(kind, place)
    return _Said(text, "\n".join(thoughts), tuple(calls), tuple(images))


def _part_kind(part: Any, number: int, where: str) -> str:
    if isinstance(part, dict) and isinstance(part.get("type"), str):
        return str(part["type"])
    fail(
        "wrong_type",
        f'{where}"content" must be a string or a list of parts such as {{"type": "text", "text": '
        f'"..."}}; part {number} is {kind_of(part)}'
        f"{' without a type' if isinstance(part, dict) else ''}.",
    )


def _part_text(part: Mapping[str, Any], name: str, where: str) -> str:
    name = next((given for given in (name, "text", "value") if given in part), name)
    if name not in part:
        fail("wrong_type", f'{where}a part of the content must have a "{name}".')
    return string(part, name, where)


def _refuse_part(kind: str, where: str) -> None:
    if any(medium in kind for medium in _MEDIA):
        fail(
            "not_text",
            f"{where}the content holds {shown(kind)}, which is not read here: what is learned of "
            "is text, and pictures in conversations for the objective sft. Take that part out, or "
            "leave the row out.",
        )
    known = ", ".join([*_SPOKEN, *_THOUGHT, "tool_call"])
    fail("wrong_type", f"{where}the type {told(kind)} is unknown; types are {known}.")


def _some(names: Sequence[Any]) -> str:
    listed = ", ".join(shown(str(name)) for name in names[:10])
    return listed if len(names) <= 10 else f"{listed}, … ({len(names)} in all)"
