"""What is said to a vLLM server: which models it has, adapters it is to load, texts to go on with.

It must be started so that it takes adapters, and must see the home under the same path:

    VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve BASE --enable-lora --max-lora-rank RANK
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2

from tunesmith.serve.errors import ApiError, bad_request, unavailable

_log = logging.getLogger(__name__)

_PATIENCE = httpx2.Timeout(600, connect=5)
"""Seconds without a word; a queue may be long."""

_DATA = "data:"
_QUOTED = 300


class UnknownModel(Exception):
    """The server has no model of this name, be it that it was started anew."""


class VllmServer:
    """The server at `url`. What it refuses becomes a refusal of ours; its address stays out of it.

    Every request has a connection of its own: the server is near, and answers take much longer.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/").removesuffix("/v1") + "/v1"

    async def models(self) -> dict[str, str]:
        """Under which names it has which model folders or hub names."""
        async with self._connected() as client:
            response = await client.get("/models")
            await _require_well(response)
        with understood():
            found = response.json()["data"]
            return {str(each["id"]): str(each.get("root") or each["id"]) for each in found}

    async def load(self, name: str, folder: str) -> None:
        """Have it ask the adapter in `folder` under this name from now on."""
        async with self._connected() as client:
            asked = {"lora_name": name, "lora_path": folder}
            response = await client.post("/load_lora_adapter", json=asked)
            if response.status_code == 400 and "already" in response.text:
                return
            if response.status_code == 404 and "not found" in response.text.lower():
                _log.error("the vLLM server loads no adapters: %s", response.text[:_QUOTED])
                raise unavailable("The vLLM server behind this service loads no adapters.", 60)
            if response.status_code >= 300:  # what it says of that names folders of this machine
                _log.error("the vLLM server does not load %s: %s", name, response.text[:_QUOTED])
                raise _broken("cannot load this model")

    async def events(self, asked: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """What a streamed completion sends. Raises UnknownModel before the first of them."""
        async with (
            self._connected() as client,
            client.stream("POST", "/completions", json=asked) as response,
        ):
            if response.status_code == 404:
                raise UnknownModel(asked["model"])
            await _require_well(response)
            async for line in response.aiter_lines():
                data = line.removeprefix(_DATA).strip()
                if not line.startswith(_DATA) or data == "[DONE]":
                    continue
                yield _event(data)

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[httpx2.AsyncClient, None]:
        """Raises ApiError 503 where the server cannot be reached."""
        try:
            async with httpx2.AsyncClient(
                base_url=self._url, timeout=_PATIENCE, trust_env=False
            ) as client:
                yield client
        except httpx2.HTTPError as error:
            _log.error("the vLLM server at %s: %s: %s", self._url, type(error).__name__, error)
            raise _broken("cannot be reached") from error


async def _require_well(response: httpx2.Response) -> None:
    """Raises ApiError: 400 where the server takes the request for wrong, else 503."""
    status = response.status_code
    if status < 300:
        return
    await response.aread()
    said = _said(response.text)
    if status in (400, 413, 422):
        raise bad_request(f"The vLLM server behind this service refused it: {said}")
    _log.error("the vLLM server answered %s: %s", status, said)
    if status in (429, 503):
        raise unavailable("The vLLM server behind this service has no room. Try again.", 2)
    raise _broken("failed")


@contextmanager
def understood() -> Iterator[None]:
    """Within it something that the server said is read. Raises ApiError 503 if it cannot be."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        _log.error("the vLLM server says what is not understood: %r", error)
        raise _broken("says what is not understood here") from error


def _event(data: str) -> dict[str, Any]:
    with understood():
        event: dict[str, Any] = json.loads(data)
        if "choices" in event:
            return event
    _log.error("the vLLM server broke off: %s", data[:_QUOTED])
    raise broke_off()


def _said(text: str) -> str:
    """The sentence in a refusal, which vLLM has put in two places in its time."""
    try:
        body = json.loads(text)
        inner = body.get("error", body)
        text = inner["message"]
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    return " ".join(str(text).split())[:_QUOTED]


def broke_off() -> ApiError:
    """An answer has no end."""
    return _broken("broke off")


def _broken(how: str) -> ApiError:
    return unavailable(f"The vLLM server behind this service {how}. Its log says why.", 5)
