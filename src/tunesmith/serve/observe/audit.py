"""Who changed what: a row for each changing act, written before it is begun.

So nothing is changed that is not recorded: where the row cannot be written, the act is refused. A
row of status 0 was begun and never answered: the process died meanwhile, or the client left.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunesmith.serve.caller import Caller
from tunesmith.serve.errors import ApiError
from tunesmith.serve.observe.requests import template
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.page import Page, newest_first
from tunesmith.serve.store.tables import AuditRow

ASKS = frozenset(
    {
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/moderations",
        "/v1/fine_tuning/alpha/graders/run",
        "/v1/fine_tuning/alpha/graders/validate",
        "/v1/tunesmith/files/{file_id}/check",
    }
)
"""Routes that are asked by POST and change nothing."""
_LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})
_ANSWER_BYTES = 1 << 16

log = logging.getLogger(__name__)


class Audit:
    """The trail of all projects, for the operator."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, act: str, request_id: str, caller: Caller, object_id: str | None) -> int:
        """Record that this is about to be done. Raises ApiError 503."""
        row = AuditRow(
            created_at=int(time.time()),
            request_id=request_id,
            project_id=caller.project,
            key_id=caller.key,
            act=act[:64],
            object_id=object_id and object_id[:256],
            status=0,
        )
        with self._database.write() as session:
            session.add(row)
        return row.seq

    def end(self, seq: int, status: int, made: str | None) -> None:
        """Record what came of it, and the name of what it made."""
        with self._database.write() as session:
            row = session.get_one(AuditRow, seq)
            row.status = status
            row.object_id = row.object_id or (made and made[:256])

    def page(self, limit: int = 100, project: str | None = None) -> Page[AuditRow]:
        """The latest acts, newest first."""
        rows = select(AuditRow)
        if project is not None:
            rows = rows.where(AuditRow.project_id == project)
        with self._database.read() as session:
            return newest_first(session, rows, AuditRow, None, limit)


def audited(request: Request) -> None:
    """A dependency of every route: records the act that is about to be done, if it changes
    anything. Raises ApiError 503."""
    caller = getattr(request.state, "caller", None)
    route = template(request.scope)
    if request.method in _LOOKS or route in ASKS or not isinstance(caller, Caller):
        return
    named = list(request.path_params.values())
    audit: Audit = request.app.state.service.audit
    request.state.audit_seq = audit.begin(
        f"{request.method} {route}",
        request.state.request_id,
        caller,
        str(named[-1]) if named else None,
    )


class Conclusion:
    """Records how the act ended that `audited` has recorded the beginning of."""

    def __init__(self, app: ASGIApp, audit: Audit) -> None:
        self._app = app
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, body = 0, b""

        async def send_and_note(message: Message) -> None:
            nonlocal status, body
            if message["type"] == "http.response.start":
                status = message["status"]
            elif len(body) < _ANSWER_BYTES and "audit_seq" in scope.get("state", {}):
                body += message.get("body", b"")
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            seq = scope.get("state", {}).get("audit_seq")
            if seq is not None:
                await run_in_threadpool(self._end, seq, status, _made(body))

    def _end(self, seq: int, status: int, made: str | None) -> None:
        try:
            self._audit.end(seq, status, made)
        except ApiError:  # the act is done and answered; that it was begun is recorded
            log.warning("an act stays without its end", extra={"audit": seq, "status": status})


def _made(body: bytes) -> str | None:
    """The name of what was made, as the answer gives it."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    made: Any = answer.get("id") if isinstance(answer, Mapping) else None
    return made if isinstance(made, str) else None
