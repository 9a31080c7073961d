"""Whether the process is alive, and whether it can do its work. Both are open to anyone."""

from __future__ import annotations

from fastapi import APIRouter, Request
from sqlalchemy import text

from tunesmith.serve.service import Service

router = APIRouter(tags=["health"])


@router.get("/healthz")
def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def ready(request: Request) -> dict[str, str]:
    """The store can be read."""
    service: Service = request.app.state.service
    with service.database.read() as session:
        session.execute(text("SELECT 1"))
    return {"status": "ok"}
