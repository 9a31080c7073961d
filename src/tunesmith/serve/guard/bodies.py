"""Bodies of requests: how large, how slow, and what becomes of the rest of one that is refused."""

from __future__ import annotations

import re

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunesmith.serve.errors import ApiError, bad_request, too_large
from tunesmith.serve.guard.refuse import refuse
from tunesmith.serve.settings import Limits

_FORM_BYTES = 64 << 10
"""What a form may take beside the file in it."""
_HEADERS = 100
_LINGER_SECONDS = 2.0
"""How long a refused client may go on sending, so that it comes to read the answer."""


def is_form(headers: Headers) -> bool:
    """Whether the body is a form with a file, which is read as a stream and never held."""
    return headers.get("content-type", "").lower().startswith("multipart/form-data")


def largest(path: str, form: bool, limits: Limits) -> int:
    """How many bytes the body of a request to this path may have."""
    if form and path == "/v1/files":
        return limits.file_bytes + _FORM_BYTES
    if form and re.fullmatch(r"/v1/uploads/[^/]+/parts", path):
        return limits.part_bytes + _FORM_BYTES
    return limits.body_bytes


class Bodies:
    """Refuses a body that is too large, too slow or ambiguous, and reads no more of it."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(scope, receive, send, self._limits)
        try:
            body.check_head()
            await self._app(scope, body.receive, body.send)
        except ApiError as error:
            body.refused = body.refused or error
        if body.refused is not None and not body.answered:
            await refuse(body.refused, scope, receive, body.send_through)


class _Body:
    """One request: what was received of its body, and whether it was answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self._headers = Headers(scope=scope)
        self._receive = receive
        self._send = send
        self._path: str = scope["path"]
        self._query: bytes = scope["query_string"]
        self._head_bytes = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        self._head_bytes += len(scope.get("raw_path", b"")) + len(self._query)
        self._most_head = limits.header_bytes
        self._largest = largest(scope["path"], is_form(self._headers), limits)
        self._idle = limits.idle_seconds
        self._bytes = 0
        self._complete = not self._announced() and "transfer-encoding" not in self._headers
        self.refused: ApiError | None = None
        self.answered = False

    def check_head(self) -> None:
        """Raises ApiError for what the headers alone give away."""
        if len(self._headers) > _HEADERS:
            raise ApiError(431, f"The request has {len(self._headers)} headers; {_HEADERS} may be.")
        if self._head_bytes > self._most_head:
            raise ApiError(431, f"The head of the request has more than {self._most_head} bytes.")
        if "content-length" in self._headers and "transfer-encoding" in self._headers:
            raise bad_request("The request has Content-Length and Transfer-Encoding; send one.")
        if "\0" in self._path or b"%00" in self._query:
            raise bad_request("The address has a NUL (%00) in it. Leave it out.")
        if self._headers.get("content-encoding", "identity") != "identity":
            raise ApiError(415, "The body is packed (Content-Encoding). Send it as it is.")
        if self._announced() > self._largest:
            raise self._too_large()

    async def receive(self) -> Message:
        """The next piece. Raises ApiError, also for every later call, where it may not be had."""
        if self.refused is not None:
            raise self.refused
        if self._complete:
            return await self._receive()
        with anyio.move_on_after(self._idle) as waited:
            message = await self._receive()
        if waited.cancelled_caught:
            raise self._refuse(_slow(self._idle))
        self._complete = not message.get("more_body", False)
        if message["type"] == "http.disconnect":
            raise self._refuse(bad_request("The client left before all of the body was there."))
        self._bytes += len(message["body"])
        if self._bytes > self._largest:
            raise self._refuse(self._too_large())
        return message

    async def send(self, message: Message) -> None:
        """What the application answers; what was made of our own refusal is not sent."""
        if self.refused is None:
            await self.send_through(message)

    async def send_through(self, message: Message) -> None:
        """A piece of the answer. Where a body is cut off, the connection ends with the answer."""
        if message["type"] == "http.response.start":
            self.answered = True
            if not self._complete:
                MutableHeaders(scope=message)["connection"] = "close"
        elif not self._complete and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def _linger(self) -> None:
        """Let the client send on for a moment: closed at once, it might never see the answer."""
        with anyio.move_on_after(_LINGER_SECONDS):
            while not self._complete:
                message = await self._receive()
                self._complete = not message.get("more_body", False)

    def _announced(self) -> int:
        length = self._headers.get("content-length", "0")
        return int(length) if length.isascii() and length.isdigit() else 0

    def _refuse(self, error: ApiError) -> ApiError:
        self.refused = error
        return error

    def _too_large(self) -> ApiError:
        return too_large(f"The body has more than {self._largest:,} bytes, the most that may be.")


def _slow(seconds: float) -> ApiError:
    said = f"The rest of the body did not come within {seconds:g} seconds."
    return ApiError(408, said, retry_after=1)
