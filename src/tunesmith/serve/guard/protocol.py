"""Connections: how many, how long until a request's head is there, and how malformed ones end.

This is what comes before a request exists, so it is told to uvicorn's protocol itself. Refusals
have the interface's shape here, too.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from tunesmith.serve.errors import ApiError, bad_request, unavailable
from tunesmith.serve.guard.headers import standing
from tunesmith.serve.ids import new_id
from tunesmith.serve.settings import Limits


def bounded(limits: Limits) -> type[asyncio.Protocol]:
    """The protocol of a server with these limits."""

    class Limited(Bounded):
        """With the limits of one server."""

    Limited.limits = limits
    return Limited


class Bounded(H11Protocol):
    """Uvicorn's protocol, which does not wait for ever."""

    limits: ClassVar[Limits]
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the head of a request; one connection too many is told so and closed."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            said = "The service has as many connections as it takes. Try again in a moment."
            self._end_with(unavailable(said, 1))
            return
        self._head_timer = self.loop.call_later(self.limits.header_seconds, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        """Take what came; the time for the next head begins with its first byte."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting_for_head()
        elif self._head_timer is None and self.conn.trailing_data[0]:
            self._head_timer = self.loop.call_later(self.limits.header_seconds, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_waiting_for_head()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read. It has a while to begin again."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.limits.idle_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._stop_waiting_for_reader()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """End a connection whose bytes are no HTTP, or whose head is too long."""
        most = self.limits.header_bytes
        if self.conn.their_state is h11.ERROR and len(self.conn.trailing_data[0]) > most:
            self._end_with(ApiError(431, f"The head of the request has more than {most} bytes."))
        else:
            self._end_with(bad_request("What was sent is not a request of HTTP/1.1."))

    def _head_is_late(self) -> None:
        self._head_timer = None
        seconds = self.limits.header_seconds
        said = f"The head of the request did not come within {seconds:g} seconds."
        self._end_with(ApiError(408, said, retry_after=1))

    def _end_with(self, error: ApiError) -> None:
        """Answer, where no answer has begun, and close."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_raw(error))
        self.transport.close()

    def _stop_waiting_for_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_waiting_for_reader(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


def _raw(error: ApiError) -> bytes:
    """A whole answer as it goes over the wire."""
    body = json.dumps(error.body()).encode()
    headers = {
        **standing(new_id("req_")),
        **error.headers(),
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
    }
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
