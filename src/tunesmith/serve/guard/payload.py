"""JSON that is refused before it is parsed: what parsers accept and others then stumble over.

A number that is infinite, a text with half a character or a NUL, and lists in lists in lists can be
read, and fail where they are stored, shown to a model or sent back.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunesmith.serve.errors import bad_request
from tunesmith.serve.guard.bodies import is_form

DEPTH = 64
"""So deep may lists and objects nest; the schema of an answer takes a dozen."""

_BRACKETS = b"[]{}"
_OTHERS = bytes(set(range(256)) - set(_BRACKETS))
_HALF = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_ENDLESS = re.compile(rb"NaN|Infinity|[0-9.]{100}|[eE]\+?0*[1-9][0-9]{2}")


def check(body: bytes) -> None:
    """Raises ApiError 400 for a body that no parser should be given."""
    plain = body.replace(b"\\\\", b"??").replace(b'\\"', b"??")  # a quote now ends a text
    if b"\0" in body or not _is_utf8(body):
        raise bad_request("The body is not JSON in UTF-8.")
    if b"\\u0000" in plain:
        raise bad_request("The body has a text with a NUL (\\u0000) in it. Leave it out.")
    if _HALF.search(plain):
        raise bad_request("The body has a text with half a character (a lone \\ud800 to \\udfff).")
    outside = b"".join(plain.split(b'"')[::2])
    if _ENDLESS.search(outside):
        raise bad_request("The body has a number that is infinite, or longer than 99 digits.")
    if _is_deep(outside):
        raise bad_request(f"The body nests lists and objects deeper than {DEPTH}.")


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_deep(outside: bytes) -> bool:
    """Whether anything is left after the innermost pairs were taken away so many times."""
    brackets = outside.translate(None, delete=_OTHERS)
    for _ in range(DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return bool(brackets)


class Payload:
    """Holds the body of a request that is no form, looks at it, and hands it on whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_form(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        check(body)
        await self._app(scope, _again(body, receive), send)


async def _read(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


def _again(body: bytes, receive: Receive) -> Receive:
    """What was read, once more, and then whatever comes after it."""
    told = False

    async def receive_again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
