"""Webhooks: told with what they tell of, signed as the official client verifies it, sent safely."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import DeliveryRow, ProjectRow, WebhookRow
from tunesmith.serve.webhooks import outbox

pytestmark = pytest.mark.stores
DONE = "fine_tuning.job.succeeded"


def hook(session: Session, project: str, *events: str) -> None:
    """A project with a webhook for these."""
    session.add(ProjectRow(id=project, name=project, created_at=1))
    session.flush()
    common = {"name": "w", "secret": "whsec_c2VjcmV0", "created_at": 1, "updated_at": 1}
    url = "https://example.com/hook"
    session.add(
        WebhookRow(id=f"we_{project}", project_id=project, url=url, events=list(events), **common)
    )


def tell(session: Session) -> None:
    outbox(session, "a", DONE, {"id": "ftjob-1"})


def test_a_message_is_written_with_what_it_tells_of_or_not_at_all(database: Database) -> None:
    with database.write() as session:
        hook(session, "a", DONE)
        hook(session, "b", DONE)

    def undone() -> None:
        with database.write() as session:
            tell(session)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    with database.write() as session:
        tell(session)
        outbox(session, "a", "fine_tuning.job.failed", {"id": "ftjob-2"})
    with database.read() as session:
        (row,) = session.scalars(select(DeliveryRow))
    body = json.loads(row.body)
    assert row.webhook_id == "we_a"
    assert body.pop("id").startswith("evt_")
    assert body.pop("created_at") == row.created_at
    assert body == {"object": "event", "type": DONE, "data": {"id": "ftjob-1"}}
