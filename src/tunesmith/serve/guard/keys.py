"""Who is calling: `Authorization: Bearer ts-...`, before anything else of a request is looked at.

The middleware knows the caller before the first byte of a body is read, so nobody without a key can
make the service read one. Routes then say which scope they need, by the type of a parameter:

    @router.get("/v1/files")
    def page(caller: Reader) -> ...

A request without a key that holds gets the same 401 on every path, also on one that does not exist.
The key alone decides whose things are seen: `OpenAI-Organization` and `OpenAI-Project`, which
clients of the hosted service may still send, are not read.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from tunesmith.serve.caller import Caller, Scope
from tunesmith.serve.errors import ApiError, forbidden, unauthenticated
from tunesmith.serve.store.keys import Keys, digest_of

OPEN = frozenset({"/healthz", "/readyz", "/openapi.json"})
"""Paths that anyone may ask: they say nothing about anyone's things."""

_TRUSTED_SECONDS = 1.0
_REMEMBERED = 10_000


class Keyring:
    """Keys that were found to hold, believed for a second: so soon does a revocation hold."""

    def __init__(self, keys: Keys, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._clock = clock
        self._known: dict[str, tuple[Caller, float]] = {}

    async def caller(self, authorization: str | None) -> Caller:
        """Whose key this header brings. Raises ApiError 401."""
        if not authorization:
            raise _missing()
        kind, _, key = authorization.partition(" ")
        digest = digest_of(key.strip())
        if kind.lower() != "bearer" or digest is None:
            raise _wrong()
        caller, until = self._known.get(digest, (None, 0.0))
        if caller is None or until <= self._clock():
            caller = await run_in_threadpool(self._look_up, digest)
        return caller

    def _look_up(self, digest: str) -> Caller:
        until = self._clock() + _TRUSTED_SECONDS
        row = self._keys.holding(digest)
        if row is None:
            self._known.pop(digest, None)
            raise _wrong()
        caller = Caller(row.project_id, row.id, frozenset(row.scopes), row.priority)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[digest] = (caller, until)
        return caller


class Authentication:
    """Puts the caller into the state of the request. Raises ApiError 401, and reads no further."""

    def __init__(self, app: ASGIApp, keyring: Keyring) -> None:
        self._app = app
        self._keyring = keyring

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            caller = await self._keyring.caller(Headers(scope=scope).get("authorization"))
            scope["state"]["caller"] = caller
        await self._app(scope, receive, send)


def caller_of(request: Request) -> Caller:
    """Whose key the request came with. Raises ApiError 401."""
    caller = getattr(request.state, "caller", None)
    if not isinstance(caller, Caller):
        raise _missing()
    return caller


_BEARER = HTTPBearer(auto_error=False, description="A key from `tunesmith keys create`.")


def requires(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """A dependency: the caller, if their key has this scope. Raises ApiError 401 or 403."""

    async def check(request: Request, _: Annotated[object, Security(_BEARER)]) -> Caller:
        caller = caller_of(request)
        if scope not in caller.scopes:
            raise forbidden(
                f"This key does not have the scope {scope}. Ask the operator for one that has: "
                f"`tunesmith keys create --scopes {scope}`."
            )
        return caller

    return check


Reader = Annotated[Caller, Depends(requires("read"))]
Writer = Annotated[Caller, Depends(requires("write"))]
Chatter = Annotated[Caller, Depends(requires("chat"))]
Trainer = Annotated[Caller, Depends(requires("train"))]
Admin = Annotated[Caller, Depends(requires("admin"))]


def _missing() -> ApiError:
    return unauthenticated(
        "No key was sent. Send one as `Authorization: Bearer ts-...`; the operator makes keys with "
        "`tunesmith keys create`."
    )


def _wrong() -> ApiError:
    return unauthenticated(
        "The key that was sent does not hold: it is unknown, expired or revoked. The operator "
        "makes keys with `tunesmith keys create`."
    )
