"""Prompts with their completions, instructions with their outputs, and documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunesmith.core.records import Chat, Completion, Message, Prompted, Text
from tunesmith.data.formats import messages
from tunesmith.data.formats.chats import refuse_media, tools
from tunesmith.data.formats.fields import fail, filled, kind_of, optional, packed, whole

_ASKED = '; give it a text, or use "text" for documents.'
_NOTHING = ": there is nothing to learn; give it a text."


def text(fields: Mapping[str, Any]) -> Text:
    """A document."""
    return Text(filled(fields, "text", "empty_text", _NOTHING))


def completion(
    fields: Mapping[str, Any], prompt: str = "prompt", answer: str = "completion"
) -> Completion | Chat:
    """A text and how it goes on; or, where either is a list of messages, a conversation.

    Of that conversation only the messages of the completion are learned.
    """
    refuse_media(fields)
    if isinstance(fields[prompt], list) or isinstance(fields[answer], list):
        return _conversation(fields, prompt, answer)
    asked = filled(fields, prompt, "empty_prompt", _ASKED)
    return Completion(asked, filled(fields, answer, "empty_answer", _NOTHING))


def prompted(fields: Mapping[str, Any]) -> Prompted:
    """A text, or messages, that waits for its answer; all other fields are its reference."""
    refuse_media(fields)
    beside = {name: fields[name] for name in fields if name not in ("prompt", "tools")}
    reference = packed(beside, "the reference")
    if not isinstance(fields["prompt"], list):
        asked = filled(fields, "prompt", "empty_prompt", "; give it a text.")
        return Prompted(asked, reference, tools(fields))
    said = spoken(fields, "prompt", "user")
    messages.check_order([message.role for message in said])
    messages.check_filled(said)
    if not said or said[-1].role not in ("user", "tool"):
        last = f"is from {said[-1].role}" if said else "is missing"
        fail(
            "no_prompt",
            f'The last message of "prompt" {last}, so no answer is waited for. End it with the '
            'user\'s message; an answer to learn stands in "completion".',
        )
    return Prompted(said, reference, tools(fields))


def instruction(
    fields: Mapping[str, Any], beside: str = "input", answer: str = "output"
) -> Completion | Chat:
    """An instruction, the input it speaks of on the lines below it, and the output.

    With a system message, or the questions and answers before (`history`), it is a conversation.
    """
    refuse_media(fields)
    asked = instructed(fields, beside)
    output = filled(fields, answer, "empty_answer", _NOTHING)
    opening = opened(fields)
    if not opening:
        return Completion(asked, output)
    said = (*opening, Message("user", asked), Message("assistant", output))
    messages.check_filled(said)
    return Chat(said)


def instructed(fields: Mapping[str, Any], beside: str = "input") -> str:
    """The instruction with its input."""
    asked = filled(fields, "instruction", "empty_prompt", "; give it a text.")
    given = optional(fields, beside)
    return f"{asked}\n{given}" if given.strip() else asked


def opened(fields: Mapping[str, Any]) -> tuple[Message, ...]:
    """The turns before an instruction: `system`, and `history`, a list of pairs."""
    system, history = optional(fields, "system"), fields.get("history") or []
    if not isinstance(history, list):
        fail("wrong_type", f'"history" must be a list of pairs; received {kind_of(history)}.')
    said = [Message("system", system)] if system.strip() else []
    for number, pair in enumerate(history, start=1):
        strings = isinstance(pair, list) and all(isinstance(each, str) for each in pair)
        if not strings or len(pair) != 2:
            fail(
                "wrong_type",
                f'Pair {number} of "history" must be a list of a question and its answer, both '
                f"strings; received {kind_of(pair)}.",
            )
        asked, answer = (whole(each, f'Pair {number} of "history"') for each in pair)
        said += [Message("user", asked), Message("assistant", answer)]
    return tuple(said)


def _conversation(fields: Mapping[str, Any], prompt: str, answer: str) -> Chat:
    before, answers = spoken(fields, prompt, "user"), spoken(fields, answer, "assistant")
    asked = tuple(replace(m, weight=0) if m.role == "assistant" else m for m in before)
    said = (*asked, *answers)
    messages.check_order([message.role for message in said])
    messages.check_filled(said)
    messages.require_answer(said)
    return Chat(said, tools(fields))


def spoken(fields: Mapping[str, Any], name: str, role: str) -> tuple[Message, ...]:
    """The messages in a field; a text is one, from `role`."""
    value = fields[name]
    if isinstance(value, str):
        value = [{"role": role, "content": value}]
    return messages.listed(value, name)
