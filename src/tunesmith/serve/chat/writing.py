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


@dataclass(slots=True)
class Spent:
    """Tokens of a request so far; `spend` counts them against what the key may take, as they come,
    so that an answer nobody waits for any more is counted as far as it was written."""

    spend: Spend
    prompt: int = 0
    cached: int = 0
    written: int = 0

    def count(self, piece: Piece) -> None:
        """One more piece. All answers have one prompt, which is counted once."""
        read = max(self.prompt, piece.prompt_tokens)
        self.spend(piece.tokens + read - self.prompt)
        self.prompt = read
        self.cached = max(self.cached, piece.cached_tokens)
        self.written += piece.tokens

    @property
    def usage(self) -> Usage:
        """As clients are told."""
        return Usage(
            prompt_tokens=self.prompt,
            completion_tokens=self.written,
            total_tokens=self.prompt + self.written,
            prompt_tokens_details=PromptDetails(cached_tokens=self.cached),
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


def _told(raw: bytes, logprob: float) -> dict[str, Any]:
    # -9999 is how the published interface writes a probability of nothing; JSON has no infinity.
    return {
        "token": raw.decode("utf-8", "replace"),
        "bytes": list(raw),
        "logprob": max(logprob, -9999.0),
    }
