"""A line and the figures of each request: who, which route, what came of it, how long it took.

The route is told by its template: a path could hold anything.
"""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunesmith.serve.caller import Caller
from tunesmith.serve.observe.metrics import Metrics

log = logging.getLogger(__name__)

_METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})


class Observation:
    """Stands around all that answers, but for what gives a request its name."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, begun = 0, time.perf_counter()

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with self._metrics.under_way.track_inprogress():
                await self._app(scope, receive, send_and_note)
        except BaseException as error:
            status = status or (500 if isinstance(error, Exception) else 0)
            raise
        finally:
            self._note(scope, status, time.perf_counter() - begun)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = template(scope)
        self._metrics.requests.labels(method, route, status).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
        state = scope.get("state", {})
        caller = state.get("caller")
        who = caller if isinstance(caller, Caller) else None
        facts = {
            "request_id": state.get("request_id"),
            "key": who and who.key,
            "project": who and who.project,
            "method": method,
            "route": route,
            "status": status,
            "seconds": round(seconds, 4),
        }
        log.info("request", extra=facts)


def template(scope: Scope) -> str:
    """The route that the request came to, as it is written in the code; "none" for no route."""
    return getattr(scope.get("route"), "path", None) or "none"
