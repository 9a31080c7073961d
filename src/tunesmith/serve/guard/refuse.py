"""A refusal from in front of the routes."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tunesmith.serve.errors import ApiError


async def refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with this error. What the client still sends is not read: the connection closes."""
    headers = {**error.headers(), "connection": "close"}
    await JSONResponse(error.body(), error.status, headers)(scope, receive, send)
