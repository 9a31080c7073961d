"""Contents back to rows: each format as others write it, for every content that it can hold.

What a writer cannot hold it refuses with None; nothing is left out in silence. What is read again
from a written row is the content it was written from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tunesmith.core.records import (
    Chat,
    Completion,
    Content,
    ImageLabel,
    Label,
    Message,
    Pair,
    Preference,
    Prompted,
    Rating,
    Scored,
    Spoken,
    Stepwise,
    Tagged,
    Text,
    ToolCall,
    Triplet,
)
from tunesmith.data.formats.table import waits_for_answer

Fields = dict[str, Any]


def chat(content: Content) -> Fields | None:
    """OpenAI's `messages`, also those that wait for an answer beside their reference."""
    if isinstance(content, Prompted):
        return _asked(content)
    conversation = as_chat(content)
    return None if conversation is None else _said(conversation.messages, conversation.tools)


def sharegpt(content: Content) -> Fields | None:
    """ShareGPT's `conversations`; it has no place for thoughts, names, or a call beside a text."""
    conversation = as_chat(content)
    if conversation is None or not all(map(_fits_sharegpt, conversation.messages)):
        return None
    turns = [_sharegpt_turn(message) for message in conversation.messages]
    tools = {"tools": json.dumps(_objects(conversation.tools))} if conversation.tools else {}
    return {"conversations": turns, **tools}


def instruction(content: Content) -> Fields | None:
    """Alpaca's instruction and output, with the turns before them as `system` and `history`."""
    conversation = as_chat(content)
    if conversation is None or conversation.tools or not all(map(_plain, conversation.messages)):
        return None
    opening, said = _opened(conversation.messages)
    pairs = list(zip(said[::2], said[1::2], strict=False))
    in_pairs = all((q.role, a.role) == ("user", "assistant") for q, a in pairs)
    if not pairs or len(said) % 2 or not in_pairs:
        return None
    *before, (asked, answer) = pairs
    history = {"history": [[q.content, a.content] for q, a in before]} if before else {}
    system = {"system": opening[0].content} if opening else {}
    return {
        "instruction": asked.content,
        "input": "",
        "output": answer.content,
        **system,
        **history,
    }


def completion(content: Content) -> Fields | None:
    """A prompt and its completion: one question and one answer, both plain text."""
    if isinstance(content, Completion):
        return {"prompt": content.prompt, "completion": content.completion}
    said = content.messages if isinstance(content, Chat) and not content.tools else ()
    if [message.role for message in said] != ["user", "assistant"] or not all(map(_plain, said)):
        return None
    return {"prompt": said[0].content, "completion": said[1].content}


def prompt(content: Content) -> Fields | None:
    """A `prompt` that waits for its answer, and its reference beside it."""
    if not isinstance(content, Prompted):
        return None
    reference = json.loads(content.reference)
    if "prompt" in reference or not waits_for_answer(reference):
        return None
    return {"prompt": spoken(content.prompt), **_tools(content.tools), **reference}


def text(content: Content) -> Fields | None:
    """A document."""
    return {"text": content.text} if isinstance(content, Text) else None


def preference(content: Content) -> Fields | None:
    """`prompt`, `chosen` and `rejected`, with the `margin` between them where it is known."""
    if not isinstance(content, Preference):
        return None
    said = {name: spoken(getattr(content, name)) for name in ("prompt", "chosen", "rejected")}
    margin = {} if content.margin is None else {"margin": content.margin}
    return {**said, **margin, **_tools(content.tools), **_expect(content)}


def openai_preference(content: Content) -> Fields | None:
    """OpenAI's `input`, `preferred_output` and `non_preferred_output`; plain texts become turns.

    It has no place for a margin.
    """
    if not isinstance(content, Preference) or content.margin is not None:
        return None
    return {
        "input": {"messages": _turns(content.prompt, "user"), **_tools(content.tools)},
        "preferred_output": _turns(content.chosen, "assistant"),
        "non_preferred_output": _turns(content.rejected, "assistant"),
        **_expect(content),
    }


def rating(content: Content) -> Fields | None:
    """`prompt`, `completion` and `label`."""
    if not isinstance(content, Rating):
        return None
    said = {name: spoken(getattr(content, name)) for name in ("prompt", "completion")}
    return {**said, "label": content.label, **_tools(content.tools), **_expect(content)}


def scored(content: Content) -> Fields | None:
    """`prompt`, `completion` and `reward`."""
    if not isinstance(content, Scored):
        return None
    said = {name: spoken(getattr(content, name)) for name in ("prompt", "completion")}
    return {**said, "reward": content.reward, **_tools(content.tools)}


def steps(content: Content) -> Fields | None:
    """`prompt`, and `completions` with `labels`: steps of an answer, and whether each is right."""
    if not isinstance(content, Stepwise):
        return None
    judged = {"completions": list(content.steps), "labels": list(content.labels)}
    return {"prompt": spoken(content.prompt), **judged}


def label(content: Content) -> Fields | None:
    """A text with its `label`, or its `labels`."""
    if not isinstance(content, Label):
        return None
    one = len(content.labels) == 1
    named = {"label": content.labels[0]} if one else {"labels": list(content.labels)}
    return {"text": content.text, **named}


def tags(content: Content) -> Fields | None:
    """`tokens` and `tags`."""
    if not isinstance(content, Tagged):
        return None
    return {"tokens": list(content.tokens), "tags": list(content.tags)}


def pair(content: Content) -> Fields | None:
    """`anchor` and `positive`; two sentences where they have a score."""
    if not isinstance(content, Pair):
        return None
    if content.score is None:
        return {"anchor": content.anchor, "positive": content.positive}
    sentences = {"sentence1": content.anchor, "sentence2": content.positive}
    return {**sentences, "score": content.score}


def triplet(content: Content) -> Fields | None:
    """`anchor`, `positive` and `negative`."""
    if not isinstance(content, Triplet):
        return None
    return {name: getattr(content, name) for name in ("anchor", "positive", "negative")}


def image(content: Content) -> Fields | None:
    """The path of an `image` and its `label`."""
    if not isinstance(content, ImageLabel):
        return None
    return {"image": content.path, "label": content.label}


WRITERS: Mapping[str, Callable[[Content], Fields | None]] = {
    "chat": chat,
    "sharegpt": sharegpt,
    "instruction": instruction,
    "completion": completion,
    "prompt": prompt,
    "text": text,
    "preference": preference,
    "openai_preference": openai_preference,
    "rating": rating,
    "scored": scored,
    "steps": steps,
    "label": label,
    "tags": tags,
    "pair": pair,
    "triplet": triplet,
    "image": image,
}


def as_chat(content: Content) -> Chat | None:
    """The conversation that a content is; None if it is none."""
    if isinstance(content, Completion):
        return Chat((Message("user", content.prompt), Message("assistant", content.completion)))
    return content if isinstance(content, Chat) else None


def _asked(content: Prompted) -> Fields | None:
    """`messages` with the reference that tells them from a chat without its answer."""
    reference = json.loads(content.reference)
    if isinstance(content.prompt, str) or not reference:
        return None
    return {**_said(content.prompt, content.tools), **reference}


def _said(messages: Sequence[Message], tools: Sequence[str]) -> Fields:
    return {"messages": [_message(message) for message in messages], **_tools(tools)}


def _message(message: Message) -> Fields:
    content = _parts(message) if message.images else message.content
    fields: Fields = {"role": message.role, "content": content}
    if message.tool_calls:
        fields["content"] = message.content or None
        fields["tool_calls"] = [_call(call) for call in message.tool_calls]
    given = {
        "tool_call_id": message.tool_call_id,
        "name": message.name,
        "reasoning_content": message.reasoning or None,
        "weight": 0 if message.weight == 0 else None,
    }
    return fields | {name: value for name, value in given.items() if value is not None}


def _parts(message: Message) -> list[Fields]:
    """Text and pictures in order; the file may go anywhere, so paths are whole."""
    parts: list[Fields] = []
    done = 0
    for image in message.images:
        parts += _text_part(message.content[done : image.at])
        parts.append({"type": "image", "path": os.path.abspath(image.path)})
        done = image.at
    return parts + _text_part(message.content[done:])


def _text_part(text: str) -> list[Fields]:
    return [{"type": "text", "text": text}] if text else []


def _call(call: ToolCall) -> Fields:
    identity = {} if call.id is None else {"id": call.id}
    function = {"name": call.name, "arguments": call.arguments}
    return {**identity, "type": "function", "function": function}


def spoken(said: Spoken) -> str | list[Fields]:
    return said if isinstance(said, str) else [_message(message) for message in said]


def _turns(said: Spoken, role: str) -> list[Fields]:
    if isinstance(said, str):
        return [{"role": role, "content": said}]
    return [_message(message) for message in said]


def _objects(tools: Sequence[str]) -> list[Any]:
    return [json.loads(tool) for tool in tools]


def _tools(tools: Sequence[str]) -> Fields:
    return {"tools": _objects(tools)} if tools else {}


def _expect(content: Preference | Rating) -> Fields:
    return {"expect": content.expect} if content.expect else {}


def _plain(message: Message) -> bool:
    """Whether a message is its role and text, and learned if it is an answer."""
    return message == Message(message.role, message.content)


def _opened(messages: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message]]:
    first = 1 if messages and messages[0].role == "system" else 0
    return messages[:first], messages[first:]


def _fits_sharegpt(message: Message) -> bool:
    bare = not message.reasoning and message.name is None and message.tool_call_id is None
    alone = not (message.tool_calls and message.content)
    return (
        bare
        and alone
        and not message.images
        and all(call.id is None for call in message.tool_calls)
    )


def _sharegpt_turn(message: Message) -> Fields:
    speakers = {"user": "human", "assistant": "gpt", "tool": "observation"}
    turn = {"from": speakers.get(message.role, message.role), "value": message.content}
    if message.tool_calls:
        calls = [
            {"name": call.name, "arguments": json.loads(call.arguments)}
            for call in message.tool_calls
        ]
        value = json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False)
        turn = {"from": "function_call", "value": value}
    return turn if message.weight else {**turn, "weight": 0}
