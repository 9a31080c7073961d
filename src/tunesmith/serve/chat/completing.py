"""A chat's answers, whole or as a stream of events."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from tunesmith.serve.chat.asking import Ask
from tunesmith.serve.chat.generation import Engine
from tunesmith.serve.chat.writing import News, Spend, Spent, Writer, side_by_side
from tunesmith.serve.ids import new_id
from tunesmith.serve.wire.completion import (
    Call,
    ChatChoice,
    ChatChunk,
    ChatCompletion,
    ChatMessage,
    ChosenToken,
    ChunkChoice,
    Delta,
    Finish,
    IndexedCall,
    Logprobs,
)


async def completion(
    engine: Engine, ask: Ask, spend: Spend, metadata: Mapping[str, str] | None = None
) -> ChatCompletion:
    """All answers, when the last one is written. Raises ApiError as the engine does."""
    said = [_Said(Writer(ask)) for _ in ask.generations]
    spent = Spent(ask, spend)
    async with aclosing(side_by_side(engine, ask.generations)) as pieces:
        async for number, piece in pieces:
            spent.count(number, piece)
            said[number].add(said[number].writer.hear(piece))
    tells = ask.generations[0].top_logprobs is not None
    return ChatCompletion(
        id=new_id("chatcmpl-"),
        created=int(time.time()),
        model=ask.model.id,
        choices=[each.choice(number, tells) for number, each in enumerate(said)],
        usage=spent.usage,
        system_fingerprint=ask.fingerprint,
        metadata=dict(metadata) if metadata else None,
    )


@dataclass(slots=True)
class _Said:
    """One answer so far."""

    writer: Writer
    text: str = ""
    logprobs: list[ChosenToken] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    finish: Finish = "stop"

    def add(self, news: News) -> None:
        self.text += news.text
        self.logprobs += news.logprobs
        self.calls += news.calls
        self.finish = news.finish or self.finish

    def choice(self, number: int, tells: bool) -> ChatChoice:
        """`tells` says whether log-probabilities were asked for."""
        content = None if self.calls and not self.text else self.text
        return ChatChoice(
            index=number,
            message=ChatMessage(content=content, tool_calls=self.calls or None),
            logprobs=Logprobs(content=self.logprobs) if tells else None,
            finish_reason=self.finish,
        )


async def chunks(
    engine: Engine, ask: Ask, spend: Spend, *, usage: bool = False
) -> AsyncGenerator[ChatChunk, None]:
    """The same as it is written; with `usage` the last event has the count of tokens."""
    made = _Chunks(ask)
    writers = [Writer(ask) for _ in ask.generations]
    begun: set[int] = set()
    spent = Spent(ask, spend)
    async with aclosing(side_by_side(engine, ask.generations)) as pieces:
        async for number, piece in pieces:
            if number not in begun:
                begun.add(number)
                yield made.chunk(number, Delta(role="assistant", content=""))
            spent.count(number, piece)
            news = writers[number].hear(piece)
            if news.text or news.logprobs:
                yield made.chunk(number, Delta(content=news.text), news.logprobs)
            if news.calls:
                yield made.chunk(number, Delta(tool_calls=_indexed(news.calls)))
            if news.finish:
                yield made.chunk(number, Delta(), finish=news.finish)
    if usage:
        yield made.last(spent)


class _Chunks:
    """Makes events that belong together."""

    def __init__(self, ask: Ask) -> None:
        self._id = new_id("chatcmpl-")
        self._created = int(time.time())
        self._ask = ask
        self._tells = ask.generations[0].top_logprobs is not None

    def chunk(
        self,
        number: int,
        delta: Delta,
        logprobs: list[ChosenToken] | None = None,
        finish: Finish | None = None,
    ) -> ChatChunk:
        told = Logprobs(content=logprobs) if self._tells and logprobs else None
        choice = ChunkChoice(index=number, delta=delta, logprobs=told, finish_reason=finish)
        return self._of([choice])

    def last(self, spent: Spent) -> ChatChunk:
        return self._of([]).model_copy(update={"usage": spent.usage})

    def _of(self, choices: list[ChunkChoice]) -> ChatChunk:
        return ChatChunk(
            id=self._id,
            created=self._created,
            model=self._ask.model.id,
            choices=choices,
            system_fingerprint=self._ask.fingerprint,
        )


def _indexed(calls: list[Call]) -> list[IndexedCall]:
    return [
        IndexedCall(index=number, id=call.id, function=call.function)
        for number, call in enumerate(calls)
    ]
