"""Examples to tokens: what the model sees, and which tokens of it are learned.

Training and serving must give the same token ids. An answer is therefore trained behind exactly
the ids its generation prompt has, and its learned tokens end with the template's end token.

`learned_bytes` is the UTF-8 length of the learned text as it was rendered, special tokens not
counted: for an answer everything between the generation prompt and the end token.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from hashlib import sha256
from importlib.metadata import version
from itertools import islice
from typing import Any, Literal

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.core.records import (
    Chat,
    Completion,
    Conduct,
    Content,
    Example,
    Finding,
    Message,
    Origin,
    Preference,
    Prompt,
    Prompted,
    Rating,
    Text,
    Tokens,
    images_in,
)
from tunesmith.data.answers import Answers, Job, learning
from tunesmith.data.compared import asked, joined, side_by_side, sides
from tunesmith.data.documents import pieces
from tunesmith.data.encode import Encoder
from tunesmith.data.images.eyes import ProcessorEyes
from tunesmith.data.infill import Infilling
from tunesmith.data.kinds import ASKED, Kind, wrong_kind
from tunesmith.data.refusals import Refused
from tunesmith.data.spelled import refuse_special_tokens
from tunesmith.data.turns import ChatTemplate

_CHUNK_ROWS = 256
_CHUNK_CHARACTERS = 1_000_000
"""Rows tokenised at once. Whole books would otherwise take gigabytes while they are encoded."""

_WORDS = "Zyzzogeton 4711"
"""Stands for what a user says, where only what the template writes before it is wanted."""

CompletionAs = Literal["chat", "plain"]


class Renderer:
    """Renders examples with one tokenizer and one chat template.

    Args:
        tokenizer: a transformers fast tokenizer.
        template: the jinja chat template, see `template.choose`.
        completion_as: "chat" renders prompt and completion as a user and an assistant turn,
            "plain" lays them end to end without a template.
        infilling: tells some documents out of order as well, for training (see `infill`).
        eyes: how the base sees pictures, None where it does not, and then `blind` says why.

    Raises:
        DataError: the template cannot render one question and one answer.
    """

    def __init__(
        self,
        tokenizer: Any,
        template: str,
        completion_as: CompletionAs = "chat",
        infilling: Infilling | None = None,
        eyes: ProcessorEyes | None = None,
        blind: str = "it reads text only",
    ) -> None:
        self.encoder = Encoder(tokenizer)
        self._eyes = eyes
        self._chat = ChatTemplate(self.encoder, template, eyes, blind)
        self.completion_as = completion_as
        self._template = template
        self._infilling = infilling
        self._answers = Answers(self.encoder, self.stop_ids())

    @property
    def _plain(self) -> bool:
        return self.completion_as == "plain"

    def identity(self) -> dict[str, Any]:
        """All that the tokens of an example follow from besides the example, as JSON.

        A template that writes the date gives other tokens tomorrow.
        """
        tokenizer = self.encoder.tokenizer
        dated = "strftime_now" in self._template
        return {
            "tokenizer": sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
            "special": {key: str(value) for key, value in tokenizer.special_tokens_map.items()},
            "start": self.encoder.start,
            "template": self._template,
            "completion_as": self.completion_as,
            "infilling": None if self._infilling is None else self._infilling.identity(),
            "pictures": None if self._eyes is None else self._eyes.identity(),
            "date": date.today().isoformat() if dated else None,
            "versions": [version(package) for package in ("tokenizers", "transformers", "jinja2")],
        }

    def stop_ids(self) -> tuple[int, ...]:
        """Ids that end an answer: the tokenizer's end token and the template's, for calls too."""
        written = (self._chat.ending.stop, self._chat.call_ending.stop)
        ids = (self.encoder.tokenizer.eos_token_id, *written)
        return tuple(sorted({int(token) for token in ids if token is not None}))

    def opening(self) -> np.ndarray:
        """The ids that open a user's turn, up to where the user's words begin (int32).

        Raises:
            DataError: the template cannot render a lone question.
        """
        try:
            text = self._chat.text([Message("user", _WORDS)])
        except Refused as refused:
            raise DataError(str(refused)) from None
        return self.encoder.whole(text.partition(_WORDS)[0])

    def written(self, chat: Chat) -> str:
        """The last answer of a conversation as the model writes it, special tokens included.

        Raises:
            Refused: the conversation is one that `render` answers with a Finding.
        """
        return self._chat.conversation(chat.messages, chat.tools).turns[-1].learned

    def length(self, text: str) -> int:
        """How many tokens an answer has."""
        return len(self.encoder.continuation(text))

    def render(
        self, examples: Sequence[Example], kind: Kind, context: int
    ) -> Iterator[list[Tokens] | Finding]:
        """What each example becomes, in order: its tokens, or why it cannot be trained.

        Under "sft" only answers are learned (a Text wholly); under "text" everything is, and what
        is longer than `context` tokens is cut into pieces. Answers are never cut: a list may hold
        Tokens longer than the context, which `checks.too_long` finds. A chat has one Tokens per
        answer when its answers cannot stand in one sequence with the ids they are served with. Of
        two answers that were compared the better is part 0 and the worse part 1; of a question that
        is to be answered by the model there are the ids that ask it, and nothing is learned.
        """
        for chunk in _chunks(examples):
            yield from self._render_chunk(chunk, kind, context)

    def prompt(self, example: Example) -> Prompt | None:
        """The last answer as a question, with the ids training puts before it; None for a Text.

        Of two answers that were compared it is the better one that is wanted.

        Raises:
            Refused: the example is one that `render` answers with a Finding.
        """
        content = example.content
        if isinstance(content, Text):
            return None
        if isinstance(content, Prompted):
            found = self.prompt(replace(example, content=asked(content)))
            return found and replace(found, answer="", reference=content.reference)
        if isinstance(content, Preference | Rating):
            answer = content.chosen if isinstance(content, Preference) else content.completion
            whole = joined(content.prompt, answer, content.tools)
            found = self.prompt(replace(example, content=whole))
            return found and replace(found, reference=_known(found.answer, content.expect))
        if isinstance(content, Completion) and self._plain:
            said = (Message("user", content.prompt),)
            opening_N, answer = self.beginning(content.prompt), content.completion
            known = _known(answer)
            return Prompt(
                example.origin, said, opening_N, answer, tests=example.tests, reference=known
            )
        chat = as_chat(content)
        turn = self._chat.conversation(chat.messages, chat.tools).turns[-1]
        message = chat.messages[turn.index]
        plain = not message.tool_calls and not message.reasoning
        answer = message.content if plain else self.encoder.bare(turn.learned).strip()
        ids_N = self.encoder.whole(turn.prompt)
        return Prompt(
            example.origin,
            chat.messages[: turn.index],
            ids_N,
            answer,
            chat.tools,
            message.tool_calls,
            example.tests,
            turn.images,
            _known(answer),
        )

    def ask(self, messages: Sequence[Message], tools: Sequence[str] = ()) -> np.ndarray:
        """The ids that ask for the answer to `messages` (int32): training's own prefix.

        `tools` are the functions that the assistant may call, as in `records.Chat`.

        Raises:
            DataError: the template refuses the conversation, or a message spells a special token.
        """
        try:
            refuse_special_tokens(Chat(tuple(messages), tuple(tools)), self.encoder)
            if self._plain and len(messages) == 1:
                return self.beginning(messages[0].content)
            return self.encoder.whole(self._chat.text(messages, True, tools))
        except Refused as refused:
            raise DataError(str(refused)) from None

    def _render_chunk(
        self, chunk: Sequence[Example], kind: Kind, context: int
    ) -> Iterator[list[Tokens] | Finding]:
        jobs = [self._job(example, kind, context) for example in chunk]
        texts = [text for job in jobs if isinstance(job, Job) for text in job.texts]
        # Where tokens stand in the text matters only for pieces, whose bytes are counted.
        pieces_too = kind == "text" or any(isinstance(each.content, Text) for each in chunk)
        encodings = iter(self.encoder.encodings(texts, offsets=pieces_too))
        for job, example in zip(jobs, chunk, strict=True):
            if isinstance(job, Finding):
                yield job
                continue
            try:
                yield job.finish(list(islice(encodings, len(job.texts))))
            except Refused as refused:
                yield _finding(refused, example.origin)

    def _job(self, example: Example, kind: Kind, context: int) -> Job | Finding:
        content, origin = example.content, example.origin
        try:
            if (complaint := wrong_kind(content, kind)) is not None:
                raise Refused("wrong_kind", complaint)
            if kind in ASKED:
                return self._question(example)
            if isinstance(content, Preference | Rating):
                jobs = [
                    (part, self._said(origin, each, kind, context)) for part, each in sides(content)
                ]
                return side_by_side(jobs)
            return self._said(origin, content, kind, context)
        except Refused as refused:
            return _finding(refused, origin)

    def _said(self, origin: Origin, content: Content, kind: Kind, context: int) -> Job:
        refuse_special_tokens(content, self.encoder)
        return self._content_job(origin, content, kind, context)

    def _question(self, example: Example) -> Job:
        """The ids that ask for the last answer, of which none is learned."""
        content = example.content
        refuse_special_tokens(
            asked(content) if isinstance(content, Prompted) else content, self.encoder
        )
        prompt = self.prompt(example)
        assert prompt is not None  # a Text is of a kind that is not trained so
        weights_N = np.zeros(len(prompt.ids_N), dtype=np.float32)
        tokens = Tokens(example.origin, prompt.ids_N, weights_N, 0, images=prompt.images)
        return Job((), lambda _: [tokens])

    def _content_job(self, origin: Origin, content: Content, kind: Kind, context: int) -> Job:
        """What to tokenise for a content. Raises Refused for one that cannot be trained."""
        if isinstance(content, Text):
            return self._document(origin, content.text, context, delimit=True)
        if isinstance(content, Completion) and self._plain:
            if kind == "text":
                joined = content.prompt + content.completion
                return self._document(origin, joined, context, delimit=True)
            return Job((), lambda _: [self._completion(origin, content)])
        chat = as_chat(content)
        if kind == "text":
            _require_all_learned(chat)
            _require_words(chat)
            whole = self._chat.text(chat.messages, tools=chat.tools)
            return self._document(origin, whole, context, delimit=False)
        conversation = self._chat.conversation(chat.messages, chat.tools)
        return self._answers.job(origin, conversation)

    def _document(self, origin: Origin, text: str, context: int, *, delimit: bool) -> Job:
        return Job(
            (text,),
            lambda encodings: pieces(
                self.encoder,
                origin,
                text,
                encodings[0],
                context,
                delimit=delimit,
                infilling=self._infilling if delimit else None,
            ),
        )

    def beginning(self, prompt: str) -> np.ndarray:
        """The ids of a text that is gone on with as it stands, without a template (int32)."""
        ids_N = self.encoder.whole(prompt)
        return ids_N if self.encoder.start is None else np.insert(ids_N, 0, self.encoder.start)

    def _completion(self, origin: Origin, content: Completion) -> Tokens:
        opening_N = self.beginning(content.prompt)
        answer_N = np.append(
            self.encoder.continuation(content.completion), np.int32(self.encoder.end)
        )
        return learning(
            origin,
            np.concatenate([opening_N, answer_N]),
            [(len(opening_N), len(opening_N) + len(answer_N))],
            self.encoder.byte_length(content.completion),
        )


def _known(answer: str, expect: Conduct | None = None) -> str:
    """What a grader is to know of a row whose answer is known."""
    conduct = {"expect": expect} if expect else {}
    return json.dumps({"answer": answer, **conduct}, ensure_ascii=False)


def _chunks(examples: Sequence[Example]) -> Iterator[list[Example]]:
    chunk: list[Example] = []
    characters = 0
    for example in examples:
        chunk.append(example)
        characters += len(example.content.text) if isinstance(example.content, Text) else 0
        if len(chunk) == _CHUNK_ROWS or characters >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def as_chat(content: Content) -> Chat:
    """A prompt and its completion as a turn of the user and one of the assistant."""
    if isinstance(content, Chat):
        return content
    assert isinstance(content, Completion)
    return Chat((Message("user", content.prompt), Message("assistant", content.completion)))


def _require_all_learned(chat: Chat) -> None:
    """Raises Refused where an answer is to be context: the objective text learns everything."""
    weights = [message.weight for message in chat.messages]
    if 0 in weights:
        raise Refused(
            "weight_without_sft",
            f"Message {weights.index(0) + 1} has weight 0, and the objective text learns every "
            "token. Set objective.kind=sft, or leave the weight out.",
        )


def _require_words(chat: Chat) -> None:
    """Raises Refused where pictures would be learned: the objective text learns every token."""
    if images_in(chat.messages):
        raise Refused(
            "image_without_sft",
            "The row shows a picture, and the objective text learns every token, a picture's too. "
            "Set objective.kind=sft, which learns the answers alone.",
        )


def _finding(refused: Refused, origin: Origin) -> Finding:
    return Finding(refused.reason, str(refused), "drop", origin)
