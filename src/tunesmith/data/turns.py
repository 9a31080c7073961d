"""A conversation as its chat template writes it, and where each answer stands in that text.

Answers are found from renderings only, never by searching for markers: an answer begins where the
generation prompt of the turns before it ends, and ends with the template's end token, which is
learned once from a probe conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jinja2 import TemplateError

from tunesmith.core.errors import DataError
from tunesmith.core.records import Message
from tunesmith.data.encode import Encoder

_QUESTION, _ANSWER = "What is it?", "Zyzzogeton 4711"


class Refused(Exception):
    """A conversation that this template cannot teach; `render.py` turns it into a Finding."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Ending(NamedTuple):
    """How the template ends an answer.

    `stop` is the end token's id (None if there is none), `written` the text it stands for, white
    space that it swallows included; `text` and `tokens` are what the template writes behind it,
    which no model is ever asked to produce.
    """

    stop: int | None
    written: str
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer: the generation prompt before it, and the conversation up to and with it.

    `answered` still holds what the template writes behind the end token; `learned` does not hold
    the end token either.
    """

    prompt: str
    answered: str
    learned: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """The whole rendering and its answers, in order."""

    whole: str
    turns: tuple[Turn, ...]


class ChatTemplate:
    """A jinja chat template bound to a tokenizer."""

    def __init__(self, encoder: Encoder, template: str) -> None:
        self._encoder = encoder
        self._template = template
        self.ending = self._probe()

    def text(self, messages: Sequence[Message], prompt: bool = False) -> str:
        """The rendering of `messages`, with the generation prompt behind them if `prompt`.

        Raises:
            Refused: the template raised an error of its own (a role it does not take).
        """
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text = self._encoder.tokenizer.apply_chat_template(
                turns,
                tokenize=False,
                add_generation_prompt=prompt,
                chat_template=self._template,
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise Refused(
                "template_refuses",
                f"The chat template refuses this conversation: {error}. Change the roles, or give "
                "another template with data.template.",
            ) from None
        return str(text)

    def conversation(self, messages: Sequence[Message]) -> Conversation:
        """The rendering of a conversation that ends with the assistant, answer by answer.

        Raises:
            Refused: the template raises, drops an answer, has no end token, or writes earlier
                turns in another way once later ones follow.
        """
        if self.ending.stop is None:
            raise Refused(
                "no_end",
                "The chat template writes no special token behind an answer, so a model trained "
                "on it would never stop. Put {{ eos_token }} behind the assistant's content in the "
                "template, and give it with data.template.",
            )
        whole = self.text(messages)
        answers = [n for n, message in enumerate(messages) if message.role == "assistant"]
        return Conversation(whole, tuple(self._turn(whole, messages, n) for n in answers))

    def _turn(self, whole: str, messages: Sequence[Message], index: int) -> Turn:
        prompt = self.text(messages[:index], prompt=True)
        last = index == len(messages) - 1
        answered = whole if last else self.text(messages[: index + 1])
        kept = answered.removesuffix(self.ending.text)
        if not answered.startswith(prompt) or not whole.startswith(kept):
            raise Refused("template_rewrites_turns", _rewrites(index + 1, last))
        learned = kept[len(prompt) :].removesuffix(self.ending.written)
        if _squeezed(messages[index].content) not in _squeezed(learned):
            raise Refused(
                "template_drops_answer",
                f"The chat template leaves out text of message {index + 1} (assistant), so it "
                "would not be learned. Take that text out, or give another data.template.",
            )
        return Turn(prompt, answered, learned)

    def _probe(self) -> Ending:
        probe = (Message("user", _QUESTION), Message("assistant", _ANSWER))
        try:
            text = self.text(probe)
        except Refused as error:
            raise DataError(f"One question and one answer cannot be rendered. {error}") from None
        content_end = text.rfind(_ANSWER) + len(_ANSWER)
        if content_end < len(_ANSWER):
            raise DataError(
                "The chat template does not write the assistant's content, so nothing could be "
                "learned with it. Give another template with data.template."
            )
        (encoding,) = self._encoder.encodings([text], offsets=True)
        for index, (token, span) in enumerate(zip(encoding.ids, encoding.offsets, strict=True)):
            if token in self._encoder.specials and span[0] >= content_end:
                behind = len(encoding.ids) - index - 1
                return Ending(token, text[span[0] : span[1]], text[span[1] :], behind)
        return Ending(None, "", "", 0)


def _rewrites(number: int, last: bool) -> str:
    if last:
        return (
            f"The chat template's generation prompt is not how it renders message {number} "
            "(assistant), so the model would be trained on another text than it is asked to go on "
            "from. Give a template for which it is with data.template."
        )
    return (
        f"The chat template writes message {number} (assistant) differently once other messages "
        "follow, so no single text trains every answer as it is served. Give one row for each "
        "answer, or a template that keeps earlier turns with data.template."
    )


def _squeezed(text: str) -> str:
    """Without white space: templates may trim an answer, and that is no loss."""
    return "".join(text.split())
