"""Conversations: OpenAI's `messages`, ShareGPT's `conversations`, annotated service dialogues."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tunesmith.core.records import Chat, Message, Prompted, ToolCall
from tunesmith.data.formats import messages, pictures
from tunesmith.data.formats.fields import (
    fail,
    kind_of,
    optional,
    packed,
    shown,
    string,
    told,
    whole,
)
from tunesmith.data.formats.tools import schemas, written_calls

BESIDE = ("tools", "functions", "parallel_tool_calls", "system")
"""What is read beside a conversation."""

SHAREGPT_KEYS = frozenset({"from", "value", "weight", "train"})
DIALOGUE_KEYS = frozenset({"role", "text", "call", "results"})

_SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "assistant": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "function_response": "tool",
    "tool": "tool",
    "system": "system",
}
_UNSEEN = ("videos", "audios")
_MEDIA = (*pictures.FIELDS, *_UNSEEN)


def chat(fields: Mapping[str, Any], name: str = "messages") -> Chat:
    """A conversation that ends with an answer, its pictures, and the tools that it may use."""
    refuse_media(fields, _UNSEEN)
    said = pictures.shown_by(fields, _turns(fields, name, pictures=True))
    messages.require_answer(said)
    return Chat(said, tools(fields))


def waits(fields: Mapping[str, Any]) -> bool:
    """Whether the last message waits for its answer beside fields that no conversation has.

    That is how OpenAI's reinforcement lines are written.
    """
    said = fields["messages"]
    last = said[-1] if isinstance(said, list) and said else None
    role = last.get("role", last.get("from")) if isinstance(last, dict) else None
    return role in ("user", "human", "tool", "function") and bool(_reference(fields))


def prompted(fields: Mapping[str, Any]) -> Prompted:
    """A conversation that waits for its answer; all other fields are its reference."""
    reference = packed(_reference(fields), "the reference")
    return Prompted(turns(fields, "messages"), reference, tools(fields))


def _reference(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in fields if name not in ("messages", *BESIDE)}


def turns(fields: Mapping[str, Any], name: str) -> tuple[Message, ...]:
    """The messages in a field, in either spelling, behind the row's own system message."""
    refuse_media(fields)
    return _turns(fields, name, pictures=False)


def _turns(fields: Mapping[str, Any], name: str, *, pictures: bool) -> tuple[Message, ...]:
    value = fields[name]
    if isinstance(value, list) and any(isinstance(turn, dict) and "from" in turn for turn in value):
        value = [sharegpt_turn(number, turn) for number, turn in enumerate(value, start=1)]
    return messages.conversation(value, name, optional(fields, "system"), pictures=pictures)


def tools(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The functions that stand beside a conversation."""
    return schemas(fields, "functions") if fields.get("functions") else schemas(fields)


def refuse_media(fields: Mapping[str, Any], names: Collection[str] = _MEDIA) -> None:
    """Check that no pictures or sounds belong to the row."""
    for name in names:
        if fields.get(name):
            fail(
                "not_text",
                f'The row has "{name}", which is not read here: what is learned of is text, and '
                "pictures in conversations for the objective sft. Leave the row out.",
            )


def sharegpt_turn(number: int, turn: Any) -> dict[str, Any]:
    """A turn of ShareGPT's as a message of the other spelling."""
    if not isinstance(turn, dict) or "from" not in turn or "value" not in turn:
        names = shown(", ".join(turn)) if isinstance(turn, dict) else ""
        received = f"the fields {names}" if names else kind_of(turn)
        fail(
            "wrong_type",
            f'Message {number} must be an object with "from" and "value"; received {received}.',
        )
    speaker, where = turn["from"], f"message {number}: "
    if not isinstance(speaker, str) or speaker not in _SPEAKERS:
        fail(
            "unknown_role",
            f"Message {number} is from {told(speaker)}; the speakers are {', '.join(_SPEAKERS)}.",
        )
    text = string(turn, "value", where)
    message = {key: value for key, value in turn.items() if key not in ("from", "value")}
    message |= {"role": _SPEAKERS[speaker], "content": text}
    if speaker == "function_call":
        calls = written_calls(text, where)
        listed = [{"name": each.name, "arguments": each.arguments} for each in calls]
        message |= {"content": None, "tool_calls": listed}
    return message


def dialogue(fields: Mapping[str, Any]) -> Chat:
    """An annotated dialogue of a user and a system, as the Schema-Guided Dialogue set has them.

    The system is the assistant. Where one of its turns names the service that it called
    (`call`: method and parameters, and its `results`), that is a tool call of its own and the
    tool's message before the turn's text. Source: Rastogi et al. 2020, arXiv:1909.05855.
    """
    value = fields["turns"]
    if not isinstance(value, list):
        fail("wrong_type", f'"turns" must be a list; received {kind_of(value)}.')
    said = tuple(each for number, turn in enumerate(value, 1) for each in _spoken(number, turn))
    messages.check_order([message.role for message in said])
    messages.check_filled(said)
    messages.require_answer(said)
    return Chat(said, tools(fields))


def _spoken(number: int, turn: Any) -> Iterator[Message]:
    role = turn.get("role") if isinstance(turn, dict) else None
    if role not in ("user", "system", "assistant") or "text" not in turn:
        fail(
            "wrong_type",
            f'Turn {number} must be an object with "role" (user or system) and "text"; received '
            f"{told(turn)}.",
        )
    where = f"turn {number}: "
    text = string(turn, "text", where)
    if role == "user":
        yield Message("user", text)
        return
    if turn.get("call") is not None:
        asked = _service_call(turn["call"], where)
        yield Message("assistant", "", tool_calls=(asked,))
        yield Message("tool", packed(turn.get("results"), f"{where}results"), name=asked.name)
    yield Message("assistant", text)


def _service_call(value: Any, where: str) -> ToolCall:
    method = value.get("method") if isinstance(value, dict) else None
    parameters = value.get("parameters") if isinstance(value, dict) else None
    if not isinstance(method, str) or not method or not isinstance(parameters, dict):
        fail(
            "bad_tool_call",
            f'{where}"call" must be an object with "method" and "parameters"; received '
            f"{told(value)}.",
        )
    whole(method, f'{where}"method"')
    return ToolCall(method, packed(parameters, f'{where}"parameters"'))
