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
    Scored,
    Spoken,
    Stepwise,
    Tagged,
    Text,
    Triplet,
)
from tunesmith.data.quality.courtesy import without_courtesy

PART = "\x1e"
"""Stands between the parts of what is compared: what is asked, and what is answered."""

CLASS = "\x1f"
"""Stands between the classes of a row of several."""

_APOSTROPHE = re.compile(r"['\u2019](?<=\w.)(?=\w)")
_WORD = re.compile(r"[^\W_]")
_BETWEEN_WORDS = re.compile(r"[\W_]+")
_SENTENCE_ENDS = re.compile(r"(?<=[.!?:;])\s|[\n\u3002\uff01\uff1f]")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a row says, taken apart.

    Attributes:
        text: all of it.
        compared: what makes two rows alike, in parts; the label of a text is none of them.
        prompt: what is asked, with all that stands before it; "" where nothing is.
        answer: the one answer that is right, the rating of a rated one; "" where there may be
            several, as in preferences.
        turns: each answer that is to be learned, behind the message that it answers.
        label: the class, or the classes in order with CLASS between them.
        choice: the answer that was chosen and the one that was rejected.
    """

    text: str
    compared: str
    prompt: str = ""
    answer: str = ""
    turns: tuple[tuple[str, str], ...] = ()
    label: str = ""
    choice: tuple[str, str] | None = None


def view(example: Example) -> Seen:
    """The row as the checks see it."""
    return _READERS[type(example.content)](example.content)


def plain(text: str) -> str:
    """The text's words in lower case, one space between them; the text itself if it has none.

    Two texts that differ only in case, punctuation or width of characters are equal then. "don't"
    is one word.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = _APOSTROPHE.sub("", text)
    return _BETWEEN_WORDS.sub(" ", text.casefold()).strip() or text.strip()


def sentences(compared: str) -> list[str]:
    """The sentences and lines of what is compared, each `plain` and `without_courtesy`.

    The first sentence of each part but the first begins with PART, as a word of its own.
    """
    found: list[str] = []
    for number, part in enumerate(compared.split(PART)):
        said = [without_courtesy(plain(piece)) for piece in _SENTENCE_ENDS.split(part)]
        said = [piece for piece in said if _WORD.search(piece)]
        said = said or [plain(part)]  # "Hello!" is all there is of it
        if number:
            said[0] = f"{PART} {said[0]}"
        found += said
    return [piece for piece in found if piece]


def _chat(content: Chat) -> Seen:
    messages = content.messages
    learned = [at for at, message in enumerate(messages) if message.learned]
    turns = tuple((b.content, _said(turn)) for b, turn in pairwise(messages) if turn.learned)
    last = learned[-1] if learned else len(messages)
    answer = _said(messages[last]) if learned else ""
    compared = _parts(_talk(messages[:last]), _talk(messages[last:]))
    # What is right to answer may depend on what can be called.
    prompt = "\n".join((_joined(messages[:last]), *content.tools))
    names = [image.name for message in messages for image in message.images]
    if names:  # rows about other pictures are not alike, whatever words they have in common
        prompt = "\n".join((*names, prompt))
        compared = sha256(repr((names, compared)).encode()).hexdigest()
    return Seen(_joined(messages), compared, prompt, answer, turns)


def _completion(content: Completion) -> Seen:
    prompt, answer = content.prompt, content.completion
    return Seen(f"{prompt}\n{answer}", _parts(prompt, answer), prompt, answer, ((prompt, answer),))


def _text(content: Text) -> Seen:
    return Seen(content.text, _parts(content.text))


def _preference(content: Preference) -> Seen:
    prompt, chosen, rejected = map(_spoken, (content.prompt, content.chosen, content.rejected))
    text = f"{prompt}\n{chosen}\n{rejected}"
    compared = _parts(_talk(content.prompt), chosen, rejected)
    turns, choice = ((prompt, chosen),), (chosen, rejected)
    return Seen(text, compared, prompt, turns=turns, choice=choice)


def _rating(content: Rating) -> Seen:
    prompt, said = _spoken(content.prompt), _spoken(content.completion)
    text, compared = f"{prompt}\n{said}", _parts(_talk(content.prompt), said)
    label = "liked" if content.label else "not liked"
    turns = ((prompt, said),) if content.label else ()
    return Seen(text, compared, text, label, turns, label)


def _scored(content: Scored) -> Seen:
    prompt, said = _spoken(content.prompt), _spoken(content.completion)
    text, compared = f"{prompt}\n{said}", _parts(_talk(content.prompt), said)
    return Seen(text, compared, text, repr(content.reward), ((prompt, said),))


def _stepwise(content: Stepwise) -> Seen:
    said = "\n".join(content.steps)
    prompt, labels = _spoken(content.prompt), " ".join(map(str, content.labels))
    text = f"{prompt}\n{said}"
    return Seen(text, _parts(_talk(content.prompt), said), text, labels)


def _prompted(content: Prompted) -> Seen:
    text = _spoken(content.prompt)
    return Seen(text, _parts(_talk(content.prompt)), text, content.reference)


def _label(content: Label) -> Seen:
    classes = sorted(content.labels)
    text, answer, label = content.text, ", ".join(classes), CLASS.join(classes)
    return Seen(text, _parts(text), text, answer, label=label)


def _tagged(content: Tagged) -> Seen:
    text = " ".join(content.tokens)
    return Seen(text, _parts(text), text, " ".join(content.tags))


def _pair(content: Pair) -> Seen:
    texts = content.anchor, content.positive
    score = "" if content.score is None else str(content.score)
    return Seen("\n".join(texts), _parts(*texts), "\n".join(texts) if score else "", score)


def _triplet(content: Triplet) -> Seen:
    texts = content.anchor, content.positive, content.negative
    return Seen("\n".join(texts), _parts(*texts))


def _image(content: ImageLabel) -> Seen:
    # Names of images are often alike where images are not.
    compared = sha256(content.path.encode()).hexdigest()
    return Seen(content.path, compared, content.path, content.label, label=content.label)


def _parts(*texts: str) -> str:
    return PART.join(text.replace(PART, " ") for text in texts)


def _joined(messages: Sequence[Message]) -> str:
    return "\n".join(said for said in map(_said, messages) if said)


def _said(message: Message) -> str:
    """What a turn says; to call a function is an answer, too, though it may have no words."""
    calls = (f"{call.name} {call.arguments}" for call in message.tool_calls)
    return "\n".join(part for part in (message.content, *calls) if part)


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
    Scored: _scored,
    Stepwise: _stepwise,
}
