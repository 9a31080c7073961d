"""Where a project wants to be told, and of what."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from tunesmith.serve.errors import bad_request, conflict, not_found
from tunesmith.serve.ids import new_id
from tunesmith.serve.settings import Reach
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.page import Page, newest_first
from tunesmith.serve.store.tables import DeliveryRow, WebhookRow
from tunesmith.serve.webhooks.address import Unreachable, parse
from tunesmith.serve.webhooks.events import Event, body_of
from tunesmith.serve.webhooks.post import post, signed

MOST = 20
"""Webhooks of one project."""
_OVERLAP = 24 * 3600
"""Seconds for which a secret that was changed may sign beside the new one."""


class Webhooks:
    """The webhooks of all projects; each act sees those of one alone."""

    def __init__(self, database: Database, reach: Reach) -> None:
        self._database = database
        self._reach = reach

    def create(self, project: str, name: str, url: str, events: Sequence[Event]) -> WebhookRow:
        """Raises ApiError: 400 for a URL that is not called, 409 where there are too many."""
        parse(url, self._reach)
        now = int(time.time())
        row = WebhookRow(
            id=new_id("we_"), project_id=project, name=name, url=url, secret=_new_secret(),
            events=sorted(set(events)), created_at=now, updated_at=now,
        )  # fmt: skip
        with self._database.write() as session:
            mine = select(func.count()).where(WebhookRow.project_id == project)
            if (session.scalar(mine) or 0) >= MOST:
                raise conflict(f"This project has {MOST} webhooks, and no more are allowed.")
            session.add(row)
        return row

    def get(self, project: str, id: str) -> WebhookRow:
        """Raises ApiError 404."""
        with self._database.read() as session:
            return _mine(session, project, id)

    def page(self, project: str, after: str | None = None, limit: int = 20) -> Page[WebhookRow]:
        """The project's webhooks."""
        with self._database.read() as session:
            mine = select(WebhookRow).where(WebhookRow.project_id == project)
            return newest_first(session, mine, WebhookRow, after, limit)

    def update(
        self,
        project: str,
        id: str,
        *,
        name: str | None = None,
        url: str | None = None,
        events: Sequence[Event] | None = None,
    ) -> WebhookRow:
        """Change what is given. Raises ApiError 400, 404."""
        if url is not None:
            parse(url, self._reach)
        wanted = {"name": name, "url": url, "events": sorted(set(events)) if events else None}
        with self._database.write() as session:
            row = _mine(session, project, id)
            for field, value in wanted.items():
                if value is not None and value != getattr(row, field):
                    setattr(row, field, value)
                    row.updated_at = int(time.time())
        return row

    def rotate(self, project: str, id: str, *, keep_old: bool = False) -> WebhookRow:
        """A new secret; the old one, where it is kept, signs beside it for a day. Raises 404."""
        now = int(time.time())
        with self._database.write() as session:
            row = _mine(session, project, id)
            row.old_secret = row.secret if keep_old else None
            row.old_until = now + _OVERLAP if keep_old else None
            row.secret = _new_secret()
            row.updated_at = now
        return row

    def delete(self, project: str, id: str) -> None:
        """Nothing more is sent to it, nor what waits to be. Raises ApiError 404."""
        with self._database.write() as session:
            row = _mine(session, project, id)
            session.execute(delete(DeliveryRow).where(DeliveryRow.webhook_id == row.id))
            session.delete(row)

    def test(self, project: str, id: str, event: Event) -> int:
        """Send a sample at once; returns the status answered. Raises ApiError 400, 404."""
        row, now = self.get(project, id), time.time()
        body = body_of(event, {"id": "ftjob-sample"}, now)
        headers = signed(new_id("wh_"), body, signing(row, now), now)
        try:
            return post(parse(row.url, self._reach), self._reach, body, headers)
        except Unreachable as error:
            raise bad_request(f"Nothing was delivered. {error}", code="webhook_failed") from error


def signing(row: WebhookRow, now: float) -> list[str]:
    """The secrets that sign now."""
    old = row.old_secret if row.old_until is not None and now < row.old_until else None
    return [row.secret, old] if old else [row.secret]


def _mine(session: Session, project: str, id: str) -> WebhookRow:
    mine = select(WebhookRow).where(WebhookRow.id == id, WebhookRow.project_id == project)
    row = session.scalar(mine)
    if row is None:
        raise not_found("webhook endpoint", id)
    return row


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
