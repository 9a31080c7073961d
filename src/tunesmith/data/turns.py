"""A conversation as its chat template writes it, and where each answer stands in that text.

Answers are found from renderings only, never by searching for markers: an answer begins where the
generation prompt of the turns before it ends, and ends with the template's end token, which is
learned once from a probe conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from jinja2 import TemplateError

from tunesmith.core.errors import DataError
from tunesmith.core.records import Message, images_in
from tunesmith.data.calls import PROBE_CALL, PROBE_TOOL, PROBE_WORD, beside_content, schemas
from tunesmith.data.encode import Encoder
from tunesmith.data.endings import Ending, ending_of_answer, ending_of_call
from tunesmith.data.refusals import Refused, require_prompt, require_written

_QUESTION, _ANSWER = "What is it?", "Zyzzogeton 4711"
_PART = "'type': "
"""What a template writes that takes parts for a text: how Python spells them."""

_OBJECT = "{'word':"
"""The same for a template that takes arguments for a text."""

_UNWRITTEN = (
    "The chat template does not write the assistant's content, so nothing could be learned with "
    "it. Give another template with data.template."
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer: the generation prompt before it, and the conversation up to and with it.

    `answered` still holds what the template writes behind the end token; `learned` does not hold
    the end token either. `index` is the place of the message in the conversation, `ending` how this
    answer ends, `images` the files of the pictures before it.
    """

    prompt: str
    answered: str
    learned: str
    index: int
    ending: Ending
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """The whole rendering and its answers, in order."""

    whole: str
    turns: tuple[Turn, ...]


class Writing(Protocol):
    """Writes what stands for pictures in a text."""

    def written(self, text: str, paths: Sequence[str]) -> str:
        """The text with its marks replaced. Raises Refused for a picture that cannot be used."""
        ...


class ChatTemplate:
    """A jinja chat template bound to a tokenizer.

    Content is text; templates of models that also see may take it in parts only, and get one part.
    Messages with pictures are always in parts, and `eyes` write what stands for each picture; where
    there are none, `blind` says why the base cannot see.
    """

    def __init__(
        self, encoder: Encoder, template: str, eyes: Writing | None = None, blind: str = ""
    ) -> None:
        self._encoder = encoder
        self._eyes, self._blind = eyes, blind
        self._template = template
        self._in_parts = self._calls_as_text = False
        self.ending = self._probe()
        self.call_ending = self._probe_calls()

    def text(
        self, messages: Sequence[Message], prompt: bool = False, tools: Sequence[str] = ()
    ) -> str:
        """The rendering of `messages`, with the generation prompt behind them if `prompt`.

        `tools` are the functions that the assistant may call, as in `records.Chat`.

        Raises:
            Refused: the template raised an error of its own (a role it does not take), or a
                picture cannot be used.
        """
        self._require_sight(messages)
        turns = [self._written(message) for message in messages]
        try:
            text = self._encoder.tokenizer.apply_chat_template(
                turns,
                tools=schemas(tools),
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
        return str(text) if self._eyes is None else self._seen(str(text), self._eyes, messages)

    def _require_sight(self, messages: Sequence[Message]) -> None:
        """Check that pictures are shown to none but a base that sees."""
        if self._eyes is None and images_in(messages):
            number = next(n for n, message in enumerate(messages, 1) if message.images)
            raise Refused(
                "not_text",
                f"Message {number} shows a picture, and the base cannot see it: {self._blind}. "
                "Choose a vision-language model as model.base, or leave the row out.",
            )

    def _seen(self, text: str, eyes: Writing, messages: Sequence[Message]) -> str:
        """With what stands for each picture; and begun as the base's processor begins a text."""
        tokenizer = self._encoder.tokenizer
        unbegun = self._encoder.start is not None and not text.startswith(tokenizer.bos_token)
        return eyes.written(f"{tokenizer.bos_token if unbegun else ''}{text}", images_in(messages))

    def conversation(self, messages: Sequence[Message], tools: Sequence[str] = ()) -> Conversation:
        """The rendering of a conversation up to its last learned answer, answer by answer.

        What stands behind that answer is seen by none that is learned. Answers of weight 0 are
        context, as a customer's words are.

        Raises:
            Refused: the template raises, drops an answer, has no end token, or asks for an answer
                with a text that it does not write before it.
        """
        if self.ending.stop is None:
            raise Refused(
                "no_end",
                "The chat template writes no special token behind an answer, so a model trained "
                "on it would never stop. Put {{ eos_token }} behind the assistant's content in the "
                "template, and give it with data.template.",
            )
        answers = [n for n, message in enumerate(messages) if message.learned]
        if not answers:
            raise Refused("nothing_to_learn", "No answer of this conversation is to be learned.")
        if tools and not self._shows_tools:
            raise Refused(
                "template_hides_tools",
                "The chat template does not write the tools of this conversation, so the model "
                "would learn to call what it is never told of. Give a template that writes them "
                "with data.template, or have them left out: --set data.mapping={tools: unused}.",
            )
        whole = self.text(messages[: answers[-1] + 1], tools=tools)
        turns = (self._turn(whole, messages[: answers[-1] + 1], tools, n) for n in answers)
        return Conversation(whole, tuple(turns))

    def _turn(
        self, whole: str, messages: Sequence[Message], tools: Sequence[str], index: int
    ) -> Turn:
        prompt = self.text(messages[:index], True, tools)
        last = index == len(messages) - 1
        answered = whole if last else self.text(messages[: index + 1], tools=tools)
        ending = self.call_ending if messages[index].tool_calls else self.ending
        kept = answered.removesuffix(ending.text)
        require_prompt(prompt, answered, index + 1, self._template)
        learned = kept[len(prompt) :].removesuffix(ending.written)
        require_written(messages[index], prompt, learned, index + 1)
        return Turn(prompt, answered, learned, index, ending, images_in(messages[:index]))

    def _written(self, message: Message) -> dict[str, Any]:
        """The message as templates take it."""
        content: Any = message.content
        if message.images:
            content = _parts(message)
        elif self._in_parts:
            content = [{"type": "text", "text": content}]
        beside = beside_content(message, as_text=self._calls_as_text)
        return {"role": message.role, "content": content, **beside}

    @cached_property
    def _shows_tools(self) -> bool:
        """Whether the functions that the assistant may call appear in the rendering."""
        question = Message("user", _QUESTION)
        for probe in ((question,), (Message("system", _ANSWER), question)):
            try:
                if self.text(probe, tools=(PROBE_TOOL,)) != self.text(probe):
                    return True
            except Refused:
                continue
        return False

    def _probe_calls(self) -> Ending:
        """How an answer ends that calls a tool.

        `_calls_as_text` is set if the template takes arguments as text only, as DeepSeek's does.
        """
        probe = (Message("user", _QUESTION), Message("assistant", "", tool_calls=(PROBE_CALL,)))
        for self._calls_as_text in (False, True):
            try:
                text = self.text(probe, tools=(PROBE_TOOL,))
            except Refused:
                continue
            if PROBE_WORD in text and _OBJECT not in text:
                call_end = text.rfind(PROBE_WORD) + len(PROBE_WORD)
                return ending_of_call(self._encoder, text, call_end, self.ending)
        self._calls_as_text = False
        return self.ending

    def _probe(self) -> Ending:
        text = self._probe_text()
        content_end = text.rfind(_ANSWER) + len(_ANSWER)
        return ending_of_answer(self._encoder, text, content_end)

    def _probe_text(self) -> str:
        """One question and one answer; in parts if the template writes the answer only so.

        Raises:
            DataError: the answer is written in neither form.
        """
        probe = (Message("user", _QUESTION), Message("assistant", _ANSWER))
        refusals = []
        for self._in_parts in (False, True):
            try:
                text = self.text(probe)
            except Refused as error:
                refusals.append(f"One question and one answer cannot be rendered. {error}")
                continue
            if _ANSWER in text and _PART not in text:
                return text
            refusals.append(_UNWRITTEN)
        raise DataError(refusals[0])


def _parts(message: Message) -> list[dict[str, str]]:
    """Text and pictures in order, as templates of models that see take them."""
    parts, done = [], 0
    for image in message.images:
        parts += [_text(message.content[done : image.at]), {"type": "image"}]
        done = image.at
    return [part for part in (*parts, _text(message.content[done:])) if part.get("text") != ""]


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
