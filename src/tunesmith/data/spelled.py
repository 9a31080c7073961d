"""Special tokens spelled out in a row's own text: control tokens that nobody asked for.

Only the template may write them. In the text of a message the tokenizer would take `<|end|>` for
the end of the turn: the model would learn to stop in the middle of an answer, and a customer's
words could open a turn of the assistant.
"""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.records import (
    Chat,
    Completion,
    Content,
    Label,
    Pair,
    Stepwise,
    Tagged,
    Text,
    Triplet,
)
from tunesmith.data.encode import Encoder
from tunesmith.data.refusals import Refused


def refuse_special_tokens(content: Content, encoder: Encoder) -> None:
    """Check that no raw text of the content spells a special token.

    Raises:
        Refused: one does ("special_token_in_text").
    """
    for place, text in _texts(content, encoder):
        name = encoder.special_in(text)
        if name is not None:
            raise Refused(
                "special_token_in_text",
                f"{place} holds {name}, a special token of the base's tokenizer, which would act "
                "as one there instead of being read. Take it out, or write it differently: "
                f"{name[0]} {name[1:]}.",
            )


def _texts(content: Content, encoder: Encoder) -> Iterator[tuple[str, str]]:
    """Each text with the name of its place."""
    if isinstance(content, Chat):
        for number, message in enumerate(content.messages, start=1):
            place = f"Message {number} ({message.role})"
            for text in (message.content, message.reasoning, message.name, message.tool_call_id):
                yield place, text or ""
            for call in message.tool_calls:
                yield f"{place}, in a tool call,", f"{call.name}\n{call.arguments}\n{call.id or ''}"
        yield from (('"tools"', tool) for tool in content.tools)
    elif isinstance(content, Completion):
        yield '"prompt"', content.prompt
        yield '"completion"', content.completion
    elif isinstance(content, Text):
        # A document may bring its own end token: it gets no second, so the ids are the same.
        yield '"text"', content.text.removesuffix(encoder.tokenizer.eos_token or "")
    elif isinstance(content, Stepwise):  # its prompt is looked at as it is asked
        yield from ((f"Step {n}", step) for n, step in enumerate(content.steps, start=1))
    elif isinstance(content, Label):
        yield '"text"', content.text
    elif isinstance(content, Tagged):
        yield '"tokens"', " ".join(content.tokens)
    elif isinstance(content, Pair | Triplet):
        for name in ("anchor", "positive", "negative"):
            yield f'"{name}"', getattr(content, name, "")
