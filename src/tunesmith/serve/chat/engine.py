"""The engine of the service: what is asked for comes in here, and pieces of answers go out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager

from tunesmith.core.errors import DataError, TunesmithError, Unsupported
from tunesmith.core.records import Message
from tunesmith.runs.resident import Choice, Placed, Placing, Wanted
from tunesmith.serve.chat.generation import Generation, Model, Piece
from tunesmith.serve.chat.thread import Counts, ModelThread
from tunesmith.serve.chat.turns import Ticket
from tunesmith.serve.errors import ApiError, bad_request
from tunesmith.serve.settings import Settings

_log = logging.getLogger(__name__)


class ChatEngine:
    """An Engine over the models of `settings.bases` and what was tuned over them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._placing = Placing()
        self._thread = ModelThread(settings)

    async def prompt(
        self, model: Model, messages: Sequence[Message], tools: Sequence[str] = ()
    ) -> tuple[int, ...]:
        """The ids that ask `model` for the next answer, as it was trained to read them.

        Raises ApiError for a conversation that its template refuses, or that is too long.
        """
        return await asyncio.to_thread(self._ask, model, tuple(messages), tuple(tools))

    async def go_on(self, model: Model, text: str) -> tuple[int, ...]:
        """The ids of a plain text that `model` is to go on with. Raises ApiError as `prompt`."""
        return await asyncio.to_thread(self._go_on, model, text)

    async def generate(self, asked: Generation) -> AsyncIterator[Piece]:
        """See Engine."""
        placed, wanted = await asyncio.to_thread(self._wanted, asked)
        ticket = Ticket(asked.key, placed, wanted)
        self._thread.add(ticket)
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
                self._thread.cancel(ticket)

    def counts(self) -> Counts:
        """What has been done so far, and what is now."""
        return self._thread.counts()

    def close(self) -> None:
        """See Engine."""
        self._thread.close()

    def _placed(self, model: Model) -> Placed:
        try:
            return self._placing.find(self._settings.bases[model.base], model.folder)
        except Unsupported as error:
            raise bad_request(f"{model.id} cannot be asked here: {error}", param="model") from error
        except (TunesmithError, KeyError) as error:
            _log.error("%s could not be opened: %s", model.id, error)
            raise ApiError(
                500,
                f"The model {model.id} could not be opened on this server. Its operator finds the "
                "reason in the log.",
                kind="server_error",
            ) from error

    def _ask(
        self, model: Model, messages: Sequence[Message], tools: Sequence[str]
    ) -> tuple[int, ...]:
        reader = self._placed(model).reader
        with _said_of("messages"):
            return reader.ask(messages, tools)

    def _go_on(self, model: Model, text: str) -> tuple[int, ...]:
        reader = self._placed(model).reader
        with _said_of("prompt"):
            return reader.go_on(text)

    def _wanted(self, asked: Generation) -> tuple[Placed, Wanted]:
        placed = self._placed(asked.model)
        room = placed.reader.context - len(asked.prompt_ids)
        if room < 1:
            raise bad_request(
                f"The prompt has {len(asked.prompt_ids)} tokens, and {asked.model.id} reads at "
                f"most {placed.reader.context}: there is no room for an answer. Shorten it.",
                code="context_length_exceeded",
            )
        with _said_of("response_format"):
            grammar = None if asked.schema is None else placed.reader.grammar(asked.schema)
        choice = Choice(
            asked.temperature,
            asked.top_p,
            asked.seed,
            asked.logit_bias,
            asked.presence_penalty,
            asked.frequency_penalty,
        )
        return placed, Wanted(
            asked.prompt_ids,
            min(asked.max_new_tokens, room),
            placed.reader.spelling,
            choice,
            asked.stop,
            asked.top_logprobs,
            grammar,
            None if placed.adapter is None else str(placed.adapter),
        )


@contextmanager
def _said_of(param: str) -> Iterator[None]:
    """What the user gave and cannot be used, as a refusal that names the field."""
    try:
        yield
    except DataError as error:
        long = "there is no room" in str(error)
        code = "context_length_exceeded" if long else None
        raise bad_request(str(error), param=param, code=code) from error
    except Unsupported as error:
        raise bad_request(str(error), param=param) from error


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
