"""Answers as they are written: several side by side, each in text, or calls at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunesmith.serve.chat.asking import Ask
from tunesmith.serve.chat.generation import Engine, Generation, Piece, TokenLogprob
from tunesmith.serve.ids import new_id
from tunesmith.serve.wire.completion import (
    Call,
    CallFunction,
    ChosenToken,
    Finish,
    PromptDetails,
    Rival,
    Usage,
)

if TYPE_CHECKING:
    from tunesmith.runs.calling import CallReader

Spend = Callable[[int], None]
"""Counts tokens against what a key may take."""


async def side_by_side(
    engine: Engine, asked: Sequence[Generation]
) -> AsyncGenerator[tuple[int, Piece], None]:
    """The pieces of all answers in the order in which they come, each with its answer's number.

    What one of them raises ends all; so does closing this.
    """
    heard: asyncio.Queue[tuple[int, Piece] | BaseException | None] = asyncio.Queue()

    async def write(number: int, one: Generation) -> None:
        try:
            async with aclosing(engine.generate(one)) as pieces:
                async for piece in pieces:
                    heard.put_nowait((number, piece))
            heard.put_nowait(None)
        except Exception as error:  # told to whoever listens, which ends the others
            heard.put_nowait(error)

    tasks = [asyncio.create_task(write(number, one)) for number, one in enumerate(asked)]
    try:
        unfinished = len(tasks)
        while unfinished:
            said = await heard.get()
            if isinstance(said, BaseException):
                raise said
            if said is None:
                unfinished -= 1
            else:
                yield said
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Spent:
    """Tokens of a request so far; `spend` counts them against what the key may take, as they come,
    so that an answer nobody waits for any more is counted as far as it was written."""

    def __init__(self, ask: Ask, spend: Spend) -> None:
        self._ask = ask
        self._spend = spend
        self._written = 0
        self._cached: dict[int, int] = {}

    def count(self, number: int, piece: Piece) -> None:
        """One more piece of an answer. Prompts are read once, whatever is asked of them."""
        first = self._written == 0
        self._written += piece.tokens
        self._spend(piece.tokens + (self._ask.prompt_tokens if first else 0))
        if number % self._ask.each == 0:
            self._cached[number] = max(piece.cached_tokens, self._cached.get(number, 0))

    @property
    def usage(self) -> Usage:
        """As clients are told."""
        prompt = self._ask.prompt_tokens
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=self._written,
            total_tokens=prompt + self._written,
            prompt_tokens_details=PromptDetails(cached_tokens=sum(self._cached.values())),
        )


@dataclass(frozen=True, slots=True)
class News:
    """What a piece added to an answer: text that can be shown, and at the end calls and why."""

    text: str
    logprobs: list[ChosenToken]
    calls: list[Call] = field(default_factory=list)
    finish: Finish | None = None


class Writer:
    """Follows one answer: text is held back as long as it may be the beginning of a call."""

    def __init__(self, ask: Ask) -> None:
        self._one_call = ask.one_call
        self._reader: CallReader | None = None
        if ask.calls is not None:
            self._reader = ask.calls.reader(ask.names, begun=ask.begun)

    def hear(self, piece: Piece) -> News:
        """The next piece."""
        logprobs = [chosen(each) for each in piece.logprobs]
        if self._reader is None:
            return News(piece.text, logprobs, finish=piece.finish)
        text = self._reader.feed(piece.text)
        if piece.finish is None:
            return News(text, logprobs)
        rest, said = self._reader.rest()
        calls = [
            Call(id=new_id("call_"), function=CallFunction(name=one.name, arguments=one.arguments))
            for one in said[: 1 if self._one_call else None]
        ]
        return News(text + rest, logprobs, calls, "tool_calls" if calls else piece.finish)


def chosen(token: TokenLogprob) -> ChosenToken:
    """A token with its rivals, as clients are told."""
    return ChosenToken(
        **_told(token.raw, token.logprob),
        top_logprobs=[Rival(**_told(raw, logprob)) for _, raw, logprob in token.rivals],
    )


def shown(raw: bytes) -> str:
    """A token's text; a token may be a part of a character."""
    return raw.decode("utf-8", "replace")


def finite(logprob: float) -> float:
    """JSON has no infinity: the published interface writes a probability of nothing as this."""
    return max(logprob, -9999.0)


def _told(raw: bytes, logprob: float) -> dict[str, Any]:
    return {"token": shown(raw), "bytes": list(raw), "logprob": finite(logprob)}
