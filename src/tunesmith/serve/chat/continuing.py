"""Texts that were gone on with, whole or as a stream of events."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from tunesmith.serve.chat.asking import Ask
from tunesmith.serve.chat.generation import Engine, Piece, TokenLogprob
from tunesmith.serve.chat.writing import Spend, Spent, finite, shown, side_by_side
from tunesmith.serve.ids import new_id
from tunesmith.serve.wire.completions import Completion, TextChoice, TextLogprobs


async def continuation(engine: Engine, ask: Ask, spend: Spend) -> Completion:
    """All answers, when the last one is written. Raises ApiError as the engine does."""
    said: list[list[Piece]] = [[] for _ in ask.generations]
    spent = Spent(ask, spend)
    async with aclosing(side_by_side(engine, ask.generations)) as pieces:
        async for number, piece in pieces:
            spent.count(number, piece)
            said[number].append(piece)
    choices = [_choice(ask, number, each, 0) for number, each in enumerate(said)]
    return _begun(ask).model_copy(update={"choices": choices, "usage": spent.usage})


async def parts(
    engine: Engine, ask: Ask, spend: Spend, *, usage: bool = False
) -> AsyncGenerator[Completion, None]:
    """The same as it is written; with `usage` the last event has the count of tokens."""
    begun, spent = _begun(ask), Spent(ask, spend)
    told: dict[int, int] = {}
    async with aclosing(side_by_side(engine, ask.generations)) as pieces:
        async for number, piece in pieces:
            spent.count(number, piece)
            choice = _choice(ask, number, [piece], told.get(number))
            told[number] = told.get(number, 0) + len(choice.text)
            yield begun.model_copy(update={"choices": [choice]})
    if usage:
        yield begun.model_copy(update={"usage": spent.usage})


def _begun(ask: Ask) -> Completion:
    return Completion(
        id=new_id("cmpl-"),
        created=int(time.time()),
        model=ask.model.id,
        choices=[],
        system_fingerprint=ask.fingerprint,
    )


def _choice(ask: Ask, number: int, pieces: Sequence[Piece], told: int | None) -> TextChoice:
    """What these pieces add to an answer of which `told` characters were sent; at its beginning,
    where that is 0 or None, stands the echo."""
    echo = "" if told else ask.echoes[number]
    tells = ask.generations[number].top_logprobs is not None
    tokens = [token for piece in pieces for token in piece.logprobs]
    finish = next((piece.finish for piece in pieces if piece.finish), None)
    return TextChoice(
        index=number,
        text=echo + "".join(piece.text for piece in pieces),
        logprobs=_logprobs(tokens, told or 0) if tells else None,
        finish_reason=finish,
    )


def _logprobs(tokens: Sequence[TokenLogprob], start: int) -> TextLogprobs:
    words = [shown(token.raw) for token in tokens]
    starts = [start]
    for word in words:
        starts.append(starts[-1] + len(word))
    return TextLogprobs(
        tokens=words,
        token_logprobs=[finite(token.logprob) for token in tokens],
        top_logprobs=[
            {shown(raw): finite(logprob) for _, raw, logprob in token.rivals} for token in tokens
        ],
        text_offset=starts[:-1],
    )
