"""The engine of the service: what is asked for comes in here, and pieces of answers go out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from threading import Lock
from typing import TYPE_CHECKING

from tunesmith.core.errors import Unsupported
from tunesmith.serve.chat.counts import Counts
from tunesmith.serve.chat.generation import Generation, Piece
from tunesmith.serve.chat.prompts import opening
from tunesmith.serve.errors import ApiError, bad_request
from tunesmith.serve.settings import Settings

if TYPE_CHECKING:
    from tunesmith.runs.resident import Grammar, Placed, Placing, Wanted
    from tunesmith.serve.chat.thread import ModelThread


class ChatEngine:
    """An Engine over the models of `settings.bases` and what was tuned over them.

    Libraries and models are opened when the first answer is asked for.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._parts: tuple[Placing, ModelThread] | None = None

    async def generate(self, asked: Generation) -> AsyncGenerator[Piece, None]:
        """See Engine."""
        from tunesmith.serve.chat.turns import Ticket

        thread, placed, wanted = await asyncio.to_thread(self._wanted, asked)
        ticket = Ticket(asked.key, placed, wanted)
        thread.add(ticket)
        finished = False
        try:
            while not finished:
                await ticket.news.wait()
                ticket.news.clear()
                pieces = [*ticket.pieces]
                ticket.pieces.clear()
                finished = any(_ends(piece) for piece in pieces)
                yield joined(pieces)
        finally:
            if not finished:
                thread.cancel(ticket)

    def counts(self) -> Counts:
        """See Engine."""
        return Counts() if self._parts is None else self._parts[1].counts()

    def close(self) -> None:
        """See Engine."""
        with self._lock:
            if self._parts is not None:
                self._parts[1].close()

    def _opened(self) -> tuple[Placing, ModelThread]:
        from tunesmith.runs.resident import Placing
        from tunesmith.serve.chat.thread import ModelThread

        with self._lock:
            if self._parts is None:
                self._parts = Placing(), ModelThread(self._settings)
            return self._parts

    def _wanted(self, asked: Generation) -> tuple[ModelThread, Placed, Wanted]:
        from tunesmith.runs.resident import Choice, Wanted

        placing, thread = self._opened()
        with opening(asked.model):
            placed = placing.find(self._settings.bases[asked.model.base], asked.model.folder)
        wanted = Wanted(
            asked.prompt_ids,
            min(asked.max_new_tokens, room_for(asked, placed)),
            placed.spelling,
            Choice(
                asked.temperature,
                asked.top_p,
                asked.seed,
                asked.logit_bias,
                asked.presence_penalty,
                asked.frequency_penalty,
            ),
            asked.stop,
            asked.top_logprobs,
            _grammar(asked, placed),
            None if placed.adapter is None else str(placed.adapter),
            asked.project,
        )
        return thread, placed, wanted


def room_for(asked: Generation, placed: Placed) -> int:
    """How many tokens of the context are left. Raises ApiError where none is."""
    room = placed.context - len(asked.prompt_ids)
    if room < 1:
        raise bad_request(
            f"The prompt has {len(asked.prompt_ids)} tokens, and {asked.model.id} reads at most "
            f"{placed.context}: there is no room for an answer. Shorten it.",
            code="context_length_exceeded",
        )
    return room


def _grammar(asked: Generation, placed: Placed) -> Grammar | None:
    if asked.schema is None:
        return None
    try:
        return placed.grammar(asked.schema)
    except Unsupported as error:
        raise bad_request(str(error), param="response_format") from error


def _ends(piece: Piece | ApiError) -> bool:
    return isinstance(piece, ApiError) or piece.finish is not None


def joined(pieces: Iterable[Piece | ApiError]) -> Piece:
    """Pieces that came together, as one. Raises the refusal that is among them."""
    parts = []
    for piece in pieces:
        if isinstance(piece, ApiError):
            raise piece
        parts.append(piece)
    if len(parts) == 1:
        return parts[0]
    last = parts[-1]
    return Piece(
        "".join(part.text for part in parts),
        sum(part.tokens for part in parts),
        tuple(one for part in parts for one in part.logprobs),
        last.finish,
        last.prompt_tokens,
        last.cached_tokens,
    )
