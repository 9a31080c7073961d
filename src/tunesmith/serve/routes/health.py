"""How the service is: alive and ready, for anyone who asks, and its figures, for its operator."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from tunesmith.serve.guard.keys import Admin
from tunesmith.serve.routes.parts import Parts
from tunesmith.serve.wire.base import Answer
from tunesmith.serve.wire.errors import refusals

router = APIRouter(tags=["health"])


class Well(Answer):
    """That all is well."""

    status: Literal["ok"] = "ok"


@router.get("/healthz", operation_id="isAlive", responses=refusals())
async def alive() -> Well:
    """The process answers."""
    return Well()


@router.get("/readyz", operation_id="isReady", responses=refusals())
def ready(parts: Parts) -> Well:
    """It can do its work: a 503 names what is not well."""
    parts.health.require()
    return Well()


@router.get(
    "/metrics",
    operation_id="showMetrics",
    response_class=PlainTextResponse,
    responses=refusals(),
)
def metrics(caller: Admin, parts: Parts) -> PlainTextResponse:
    """The figures of the service, as Prometheus reads them; for keys of the scope admin."""
    return PlainTextResponse(parts.metrics.text(), media_type=CONTENT_TYPE_LATEST)
