"""Examples to tokens for a model of an encoder and a decoder: what is read, and what is written.

The source is all that stands before an answer, as the chat template writes it; the target is the
answer and the end token. Both stand in one sequence of ids, source, the token that the decoder
starts with, target, so that everything which counts, splits and lays out sequences needs to know
nothing of it: the first learned token is predicted at the decoder's start, and the model
(`models.encoder_decoder`) reads what stands before that with its encoder. There is one sequence an
answer, each behind its own history.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.core.records import (
    Chat,
    Completion,
    Content,
    Example,
    Message,
    Origin,
    Prompt,
    Text,
    Tokens,
)
from tunesmith.data.answers import Job, learning
from tunesmith.data.kinds import Kind
from tunesmith.data.refusals import Refused
from tunesmith.data.render import CompletionAs, Renderer, as_chat
from tunesmith.data.spelled import refuse_special_tokens
from tunesmith.data.template import choose

_TURNS = (
    "{% set spoken = messages | rejectattr('role', 'equalto', 'system') | list %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' or spoken | length == 1 %}{{ message['content'] }}"
    "{% else %}{{ message['role'] | capitalize + ': ' + message['content'] }}{% endif %}"
    "{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}"
)
"""A question alone is its own text. Where there are several turns, each is named: `User: …`."""

_NAMED_CHARACTERS = 3


def choose_source(tokenizer: Any, setting: str) -> tuple[str, str]:
    """The jinja template of sources for `data.template`, and the reason why it is this one.

    It writes what the tokenizer puts around a text, too, so that plain transformers makes the same
    ids of it by `apply_chat_template`.

    Raises:
        DataError: as `template.choose`.
    """
    if setting != "auto" or tokenizer.chat_template:
        return choose(tokenizer, setting)
    if tokenizer.eos_token is None:
        raise DataError(
            "The base's tokenizer has no end-of-sequence token, so an answer could never end. Set "
            "eos_token in its tokenizer_config.json."
        )
    before, after = (
        "".join(f"{{{{ {name!r} }}}}" for name in tokenizer.convert_ids_to_tokens(ids))
        for ids in framing(tokenizer)
    )
    return before + _TURNS + after, (
        "the base's tokenizer has no chat template, so a question is read as it stands, and of "
        "several turns each is named: User: …, Assistant: …"
    )


def framing(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special ids that the tokenizer puts before and behind a plain text of its own accord."""
    ids = tokenizer("a", verbose=False)["input_ids"]
    bare = tokenizer("a", add_special_tokens=False, verbose=False)["input_ids"]
    for start in range(len(ids) - len(bare) + 1):
        if ids[start : start + len(bare)] == bare:
            return ids[:start], ids[start + len(bare) :]
    return [], []


class _Answer(NamedTuple):
    """An answer as text, what is read before it, and the number of its message."""

    source: str
    target: str
    number: int


class SourceRenderer(Renderer):
    """Renders examples for one tokenizer and one decoder.

    Args:
        tokenizer: a transformers fast tokenizer.
        template: the jinja template of sources, see `choose_source`.
        completion_as: "plain" reads a prompt as it stands, whatever the template writes.
        start: the id that the decoder starts with.
        longest: the most ids of a source, and of a target behind its start.
    """

    def __init__(
        self,
        tokenizer: Any,
        template: str,
        completion_as: CompletionAs = "chat",
        *,
        start: int,
        longest: int,
    ) -> None:
        super().__init__(tokenizer, template, completion_as)
        self._start = start
        self._longest = longest
        before, after = framing(tokenizer)
        # As each family's own loss has its targets: the decoder's start is not written again.
        self._before = before[1:] if before[:1] == [start] else before
        self._after = after if self.encoder.end in after else [*after, self.encoder.end]
        self._around = tuple(map(self._spelled, (before, after)))

    def identity(self) -> dict[str, Any]:
        """As every renderer's, and what the decoder starts with and takes."""
        return super().identity() | {
            "decoder_start": self._start,
            "longest": self._longest,
            "framing": [self._before, self._after],
        }

    def length(self, text: str) -> int:
        """How many tokens an answer has."""
        return len(self.encoder.ids(text))

    def prompt(self, example: Example) -> Prompt | None:
        """The last answer as a question: its source, and the token that the decoder starts with.

        Raises:
            Refused: the example is one that `render` answers with a Finding.
        """
        content = example.content
        if isinstance(content, Text):
            return None
        answer = self._answers_of(content)[-1]
        return Prompt(
            example.origin,
            as_chat(content).messages[: answer.number],
            self._opened(self.encoder.ids(answer.source)),
            answer.target,
            tests=example.tests,
        )

    def ask(self, messages: Sequence[Message], tools: Sequence[str] = ()) -> np.ndarray:
        """The ids that ask for the answer to `messages` (int32): training's own prefix.

        Raises:
            DataError: the template refuses the conversation, a message spells a special token, or
                there are tools.
        """
        try:
            refuse_special_tokens(Chat(tuple(messages)), self.encoder)
            if tools:
                raise _no_tools()
            return self._opened(self.encoder.ids(self._source(messages)))
        except Refused as refused:
            raise DataError(str(refused)) from None

    def _content_job(self, origin: Origin, content: Content, kind: Kind, context: int) -> Job:
        answers = self._answers_of(content)
        texts = tuple(text for answer in answers for text in (answer.source, answer.target))

        def finish(encodings: Sequence[Any]) -> list[Tokens]:
            ids = [encoding.ids for encoding in encodings]
            pairs = zip(answers, ids[::2], ids[1::2], strict=True)
            return [
                self._laid_out(origin, answer.target, source, target, part)
                for part, (answer, source, target) in enumerate(pairs)
            ]

        return Job(texts, finish)

    def _answers_of(self, content: Content) -> list[_Answer]:
        """Every answer that is learned. Raises Refused where one could not be asked for."""
        if isinstance(content, Text):
            raise Refused(
                "nothing_asked",
                "This row is a document, and the base reads a question with its encoder and writes "
                "the answer with its decoder. Give rows with a question and an answer, or choose a "
                "decoder-only base.",
            )
        if isinstance(content, Completion) and self._plain:
            before, after = self._around
            return [_Answer(before + content.prompt + after, content.completion, 1)]
        chat = as_chat(content)
        _require_plain(chat)
        found = [
            _Answer(self._source(chat.messages[:index]), message.content, index)
            for index, message in enumerate(chat.messages)
            if message.learned
        ]
        if not found:
            raise Refused("nothing_to_learn", "No answer of this conversation is to be learned.")
        return found

    def _source(self, messages: Sequence[Message]) -> str:
        if not messages:
            raise Refused(
                "nothing_asked",
                "The conversation begins with an answer, so the encoder would have nothing to read "
                "before it. Put the question there, or give the answer weight 0.",
            )
        if self._plain and len(messages) == 1:
            before, after = self._around
            return before + messages[0].content + after
        return self._chat.text(messages, True)

    def _laid_out(
        self, origin: Origin, answer: str, source: list[int], target: list[int], part: int
    ) -> Tokens:
        """One answer. Raises Refused if it is too long or cannot be written."""
        opened_N = self._opened(source)
        target = [*self._before, *target, *self._after]
        for name, length in (("source", len(source)), ("answer", len(target))):
            if length > self._longest:
                raise Refused(
                    "too_long",
                    f"The {name} has {length} tokens, and the base reads and writes at most "
                    f"{self._longest} each. Shorten it, or leave the row out.",
                )
        unknown = self.encoder.tokenizer.unk_token_id
        if unknown is not None and unknown in target:
            raise Refused("unwritable", self._unwritable(answer, unknown))
        ids_N = np.concatenate([opened_N, np.array(target, dtype=np.int32)])
        span = (len(opened_N), len(ids_N))
        return learning(origin, ids_N, [span], len(answer.encode()), part)

    def _unwritable(self, answer: str, unknown: int) -> str:
        found = [each for each in dict.fromkeys(answer) if unknown in self.encoder.ids(each)]
        which = ", ".join(map(repr, found[:_NAMED_CHARACTERS])) or "some of its characters"
        return (
            f"The answer holds {which}, for which the base's tokenizer has no token but that of "
            "the unknown: the model could never write it. Write the answers otherwise, or choose a "
            "base that knows every byte, such as one of the byt5 family."
        )

    def _opened(self, source: Sequence[int]) -> np.ndarray:
        return np.array([*source, self._start], dtype=np.int32)

    def _spelled(self, ids: Sequence[int]) -> str:
        return "".join(self.encoder.tokenizer.convert_ids_to_tokens(ids))


def _require_plain(chat: Chat) -> None:
    """Raises Refused where a conversation is more than what was said."""
    messages = chat.messages
    if chat.tools or any(each.tool_calls or each.role == "tool" for each in messages):
        raise _no_tools()
    if any(each.learned and each.reasoning for each in messages):
        raise Refused(
            "reasoning_left_out",
            "An answer of this conversation has reasoning beside it, which a model of an encoder "
            "and a decoder is not trained to write here. Write it into the answer, or choose a "
            "decoder-only base.",
        )


def _no_tools() -> Refused:
    return Refused(
        "tools_left_out",
        "This conversation has tools, and a model of an encoder and a decoder is not trained to "
        "call them here. Leave the row out, or choose a decoder-only base with a chat template.",
    )
