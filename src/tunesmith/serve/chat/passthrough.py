"""An engine that writes nothing itself: it has a vLLM server do it.

The prompt is made here and passed on as token ids, and answers end with our stop ids, so that a
model reads there what it was trained to read, whatever template the server has. All of the rest of
the interface stays as it is.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from tunesmith.serve.chat.counts import Counts
from tunesmith.serve.chat.engine import room_for
from tunesmith.serve.chat.generation import Generation, Piece, TokenLogprob
from tunesmith.serve.chat.prompts import opening
from tunesmith.serve.chat.vllm import UnknownModel, VllmServer, broke_off, understood
from tunesmith.serve.errors import ApiError, bad_request, unavailable
from tunesmith.serve.settings import Settings

if TYPE_CHECKING:
    from tunesmith.runs.resident import Placed, Placing

_ID = "token_id:"
"""What vLLM writes before a token's id where it is asked for ids."""

_PLAIN = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Said in each request: what is left open vLLM fills in from the base's own settings."""


class PassThrough:
    """An Engine over the vLLM server of `settings.vllm`. Adapters are registered at first use."""

    def __init__(self, settings: Settings, server: VllmServer) -> None:
        self._settings = settings
        self._server = server
        self._names: dict[str, str] = {}
        self._naming = asyncio.Lock()
        self._lock = Lock()
        self._placing: Placing | None = None

    async def generate(self, asked: Generation) -> AsyncGenerator[Piece, None]:
        """See Engine."""
        placed = await asyncio.to_thread(self._placed, asked)
        for tried in range(2):
            try:
                async with aclosing(self._pieces(asked, placed)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except UnknownModel:  # the server was started anew since the adapter was registered
                self._names.clear()
                if tried:
                    raise _not_served(asked.model.id) from None

    def counts(self) -> Counts:
        """See Engine; the work is the server's, which counts it itself."""
        return Counts()

    def close(self) -> None:
        """See Engine; nothing is held here."""

    async def _pieces(self, asked: Generation, placed: Placed) -> AsyncGenerator[Piece, None]:
        heard = _Heard(placed)
        request = _request(asked, placed, await self._name(asked, placed))
        async with aclosing(self._server.events(request)) as events:
            async for event in events:
                with understood():
                    piece = heard.piece(event)
                if piece is not None:
                    yield piece
        yield heard.last()

    def _placed(self, asked: Generation) -> Placed:
        from tunesmith.runs.resident import Placing

        with self._lock:
            self._placing = self._placing or Placing()
        with opening(asked.model):
            return self._placing.find(self._settings.bases[asked.model.base], asked.model.folder)

    async def _name(self, asked: Generation, placed: Placed) -> str:
        """What the server calls the model. Raises ApiError for one that it cannot have."""
        async with self._naming:
            if asked.model.id not in self._names:
                self._names[asked.model.id] = await self._registered(asked, placed)
            return self._names[asked.model.id]

    async def _registered(self, asked: Generation, placed: Placed) -> str:
        if asked.model.folder is None:
            return await self._base(asked.model.base)
        if placed.adapter is None:
            raise bad_request(
                f"{asked.model.id} is no LoRA adapter, and the vLLM server behind this service "
                "answers with its base and such adapters alone.",
                param="model",
            )
        await self._base(asked.model.base)
        name = f"tunesmith-{hashlib.sha256(asked.model.id.encode()).hexdigest()[:16]}"
        await self._server.load(name, str(placed.adapter.resolve()))
        return name

    async def _base(self, base: str) -> str:
        wanted = (base, self._settings.bases[base])
        for name, root in (await self._server.models()).items():
            if name in wanted or root in wanted:
                return name
        raise _not_served(base)


def _not_served(name: str) -> ApiError:
    return unavailable(f"The vLLM server behind this service does not serve {name}.", 60)


def _request(asked: Generation, placed: Placed, name: str) -> dict[str, Any]:
    return {
        "model": name,
        "prompt": list(asked.prompt_ids),
        "max_tokens": min(asked.max_new_tokens, room_for(asked, placed)),
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "seed": asked.seed,
        "stop": list(asked.stop),
        "stop_token_ids": sorted(placed.spelling.stop_ids),
        "ignore_eos": True,  # the stop ids above alone end an answer
        "presence_penalty": asked.presence_penalty,
        "frequency_penalty": asked.frequency_penalty,
        "logit_bias": {str(token): bias for token, bias in asked.logit_bias.items()} or None,
        "logprobs": asked.top_logprobs,
        "return_tokens_as_token_ids": True,
        "response_format": _format(asked),
        "cache_salt": asked.project or None,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        **_PLAIN,
    }


def _format(asked: Generation) -> dict[str, Any] | None:
    if asked.schema is None:
        return None
    if asked.schema is True:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": asked.schema}}


class _Heard:
    """Makes pieces of events. The last one waits for the count of tokens behind it."""

    def __init__(self, placed: Placed) -> None:
        self._placed = placed
        self._counted = 0
        self._usage: Mapping[str, Any] = {}
        self._last: Piece | None = None

    def piece(self, event: Mapping[str, Any]) -> Piece | None:
        """What an event adds to the answer."""
        self._usage = event.get("usage") or self._usage
        if not event["choices"]:
            return None
        (choice,) = event["choices"]
        counted = int(self._usage.get("completion_tokens", self._counted))
        finish = choice.get("finish_reason")
        piece = Piece(
            str(choice["text"]),
            counted - self._counted,
            self._logprobs(choice.get("logprobs")),
            None if finish is None else "length" if finish == "length" else "stop",
            int(self._usage.get("prompt_tokens", 0)),
            _cached(self._usage),
        )
        self._counted = counted
        if finish is None:
            return piece
        self._last = piece
        return None

    def last(self) -> Piece:
        """The end of the answer. Raises ApiError where the server broke off before it."""
        if self._last is None:
            raise broke_off()
        return replace(self._last, cached_tokens=_cached(self._usage))

    def _logprobs(self, told: Mapping[str, Any] | None) -> tuple[TokenLogprob, ...]:
        if told is None:
            return ()
        rows = zip(told["tokens"], told["token_logprobs"], told["top_logprobs"], strict=True)
        return tuple(self._token(*row) for row in rows)

    def _token(
        self, token: str, logprob: float, rivals: Mapping[str, float] | None
    ) -> TokenLogprob:
        name = self._placed.spelling.name
        others = tuple(
            (_id_of(each), name(_id_of(each)), float(value))
            for each, value in (rivals or {}).items()
        )
        return TokenLogprob(_id_of(token), name(_id_of(token)), float(logprob), others)


def _id_of(token: str) -> int:
    return int(token.removeprefix(_ID))


def _cached(usage: Mapping[str, Any]) -> int:
    return int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
