"""A refusal from in front of the routes."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tunesmith.serve.errors import ApiError


async def refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with this error."""
    await JSONResponse(error.body(), error.status, dict(error.headers()))(scope, receive, send)
