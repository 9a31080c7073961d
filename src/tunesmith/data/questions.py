"""Rows as questions to another model: all that stands before the answer, whatever their format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.core.records import (
    Chat,
    Completion,
    Content,
    Finding,
    Message,
    Prompted,
    Row,
    images_in,
)
from tunesmith.data.formats import read_row
from tunesmith.data.formats.chats import tools, turns
from tunesmith.data.formats.fields import Unusable
from tunesmith.data.formats.rows import renamed

Question = tuple[Message, ...]


def question_of(row: Row, mapping: Mapping[str, str]) -> Question | Finding:
    """What is asked in a row, or why it asks nothing that can be sent (severity "drop").

    A conversation is asked up to its last answer, which is left out; answers before it are context,
    of weight 0. A conversation that waits for its answer needs none.
    """
    try:
        content: Content | None = _waiting(renamed(row.fields, mapping))
    except Unusable as error:
        return Finding(error.reason, str(error), "drop", row.origin)
    if content is None:
        outcome = read_row(row, mapping).outcome
        if isinstance(outcome, Finding):
            return outcome
        content = outcome.content
    if isinstance(content, (Chat, Prompted)) and content.tools:
        return _left(row, "tools", "its tools are not sent along with a question")
    question = _asked(content)
    if not question:
        kind = type(content).__name__.lower()
        return _left(row, "no_question", f"a row of the kind {kind} asks nothing")
    return _unsendable(row, question) or question


def _unsendable(row: Row, question: Question) -> Finding | None:
    if images_in(question):
        return _left(row, "pictures", "its pictures are not sent along with a question")
    if any(message.role == "tool" or message.tool_calls for message in question):
        return _left(row, "tools", "calls of tools are not sent along with a question")
    return None


def _left(row: Row, reason: str, why: str) -> Finding:
    sentence = f"The row is left out, for {why}. Give rows with a prompt, or with messages."
    return Finding(reason, sentence, "drop", row.origin)


def _waiting(fields: Mapping[str, Any]) -> Prompted | None:
    """A conversation whose last word is the user's; None for any other row."""
    for name in ("messages", "conversations"):
        said = fields.get(name)
        last = said[-1] if isinstance(said, list) and said else None
        if isinstance(last, dict) and last.get("role", last.get("from")) in ("user", "human"):
            return Prompted(turns(fields, name), tools=tools(fields))
    return None


def _asked(content: Content) -> Question:
    """The turns before the last answer; none where nothing is asked."""
    if isinstance(content, Completion):
        return (Message("user", content.prompt),)
    if isinstance(content, Prompted):
        said = content.prompt
        return (Message("user", said),) if isinstance(said, str) else _as_context(said)
    if isinstance(content, Chat):
        last = max(n for n, each in enumerate(content.messages) if each.role == "assistant")
        return _as_context(content.messages[:last])
    return ()


def _as_context(said: Sequence[Message]) -> Question:
    """Others' answers are not what is to be learned of this model."""
    return tuple(
        replace(each, weight=0, reasoning="") if each.role == "assistant" else each for each in said
    )
