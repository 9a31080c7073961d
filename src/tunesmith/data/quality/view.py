"""What the checks look at in a row, whatever kind it is of, and the spelling they compare by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any

from tunesmith.core.records import (
    Chat,
    Completion,
    Example,
    ImageLabel,
    Label,
    Message,
    Pair,
    Preference,
    Prompted,
    Rating,
    Spoken,
    Tagged,
    Text,
    Triplet,
)

_BETWEEN_WORDS = re.compile(r"[\W_]+")
_SENTENCE_ENDS = re.compile(r"(?<=[.!?:;])\s|[\n\u3002\uff01\uff1f]")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a row says, taken apart.

    Attributes:
        text: all of it.
        compared: what makes two rows alike; the label of a text does not.
        prompt: what is asked, with all that stands before it; "" where nothing is.
        answer: the one answer that is right; "" where there may be several, as in preferences.
        turns: each answer that is to be learned, behind the message that it answers.
        label: the class of a labelled text.
    """

    text: str
    compared: str
    prompt: str = ""
    answer: str = ""
    turns: tuple[tuple[str, str], ...] = ()
    label: str = ""


def view(example: Example) -> Seen:
    """The row as the checks see it."""
    return _READERS[type(example.content)](example.content)


def plain(text: str) -> str:
    """The text's words in lower case, one space between them; the text itself if it has none.

    Two texts that differ only in case, punctuation or width of characters are equal then.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _BETWEEN_WORDS.sub(" ", text.casefold()).strip() or text.strip()


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, each `plain`."""
    pieces = (plain(piece) for piece in _SENTENCE_ENDS.split(text))
    return [piece for piece in pieces if piece]


def _chat(content: Chat) -> Seen:
    messages = content.messages
    learned = [at for at, message in enumerate(messages) if message.learned]
    turns = tuple((b.content, turn.content) for b, turn in pairwise(messages) if turn.learned)
    last = learned[-1] if learned else len(messages)
    answer = messages[last].content if learned else ""
    text = _joined(messages)
    return Seen(text, _talk(messages), _joined(messages[:last]), answer, turns)


def _completion(content: Completion) -> Seen:
    prompt, answer = content.prompt, content.completion
    text = f"{prompt}\n{answer}"
    return Seen(text, text, prompt, answer, ((prompt, answer),))


def _text(content: Text) -> Seen:
    return Seen(content.text, content.text)


def _preference(content: Preference) -> Seen:
    prompt, chosen, rejected = map(_spoken, (content.prompt, content.chosen, content.rejected))
    text = f"{prompt}\n{chosen}\n{rejected}"
    compared = f"{_talk(content.prompt)}\n{chosen}\n{rejected}"
    return Seen(text, compared, prompt, "", ((prompt, chosen),))


def _rating(content: Rating) -> Seen:
    prompt, said = _spoken(content.prompt), _spoken(content.completion)
    text, compared = f"{prompt}\n{said}", f"{_talk(content.prompt)}\n{said}"
    return Seen(text, compared, prompt, "", ((prompt, said),) if content.label else ())


def _prompted(content: Prompted) -> Seen:
    text = _spoken(content.prompt)
    return Seen(text, _talk(content.prompt), text, content.reference)


def _label(content: Label) -> Seen:
    label = ", ".join(content.labels)
    return Seen(content.text, content.text, content.text, label, label=label)


def _tagged(content: Tagged) -> Seen:
    text = " ".join(content.tokens)
    return Seen(text, text, text, " ".join(content.tags))


def _pair(content: Pair) -> Seen:
    text = f"{content.anchor}\n{content.positive}"
    return Seen(text, text)


def _triplet(content: Triplet) -> Seen:
    text = f"{content.anchor}\n{content.positive}\n{content.negative}"
    return Seen(text, text)


def _image(content: ImageLabel) -> Seen:
    # Names of images are often alike where images are not.
    compared = sha256(content.path.encode()).hexdigest()
    return Seen(content.path, compared, content.path, content.label)


def _joined(messages: Sequence[Message]) -> str:
    return "\n".join(
        part
        for message in messages
        for part in (message.content, *(call.arguments for call in message.tool_calls))
        if part
    )


def _talk(said: Spoken) -> str:
    """What user and assistant say: the system message is often the same in all rows."""
    if isinstance(said, str):
        return said
    return _joined([message for message in said if message.role != "system"])


def _spoken(said: Spoken) -> str:
    return said if isinstance(said, str) else _joined(said)


_READERS: dict[type, Callable[[Any], Seen]] = {
    Chat: _chat,
    Completion: _completion,
    Text: _text,
    Preference: _preference,
    Rating: _rating,
    Prompted: _prompted,
    Label: _label,
    Tagged: _tagged,
    Pair: _pair,
    Triplet: _triplet,
    ImageLabel: _image,
}
