"""Examples shown in the prompt: what a base can do by being told, without being trained.

(Brown et al., "Language models are few-shot learners", 2020, section 2.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tunesmith.core.records import Chat, Completion, Example, Message

_APART = "\n\n"


def shown(
    example: Example,
    demonstrations: Sequence[Example],
    instruction: str = "",
    *,
    plain: bool = False,
) -> Example:
    """The example behind an instruction and other examples, which are context only.

    In a chat the instruction is the system message, before the one that the row has, and each
    demonstration is the turns of its own conversation. In plain text all stand behind each other
    with an empty line between.

    Args:
        example: a chat or a completion; so are the demonstrations.
        demonstrations: in the order in which they are read.
        instruction: "" for none.
        plain: whether completions are plain text rather than turns of a chat.
    """
    content = example.content
    if plain and isinstance(content, Completion):
        before = [_text(each) for each in demonstrations]
        prompt = _APART.join(part for part in (instruction, *before, content.prompt) if part)
        return replace(example, content=replace(content, prompt=prompt))
    chat = _chat(example)
    system = [message for message in chat.messages[:1] if message.role == "system"]
    if instruction:
        said = _APART.join([instruction, *(message.content for message in system)])
        system = [Message("system", said)]
    turns = [turn for each in demonstrations for turn in _turns(each)]
    own = [message for message in chat.messages if message.role != "system"]
    return replace(example, content=Chat((*system, *turns, *own), chat.tools))


def _turns(example: Example) -> list[Message]:
    """The conversation of a demonstration, of which nothing is learned."""
    messages = [message for message in _chat(example).messages if message.role != "system"]
    return [replace(each, weight=0) if each.role == "assistant" else each for each in messages]


def _chat(example: Example) -> Chat:
    content = example.content
    if isinstance(content, Completion):
        turns = Message("user", content.prompt), Message("assistant", content.completion)
        return Chat(turns)
    assert isinstance(content, Chat)
    return content


def _text(example: Example) -> str:
    content = example.content
    assert isinstance(content, Completion)
    return content.prompt + content.completion
