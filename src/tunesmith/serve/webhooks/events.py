"""What a project can be told, and the messages of it, written in the transaction they tell of.

So a job that ended has its messages, and no message tells of an end that was undone. They are sent
afterwards, at least once: whoever receives one twice knows it by its `webhook-id`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Literal, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from tunesmith.serve.ids import new_id
from tunesmith.serve.store.tables import DeliveryRow, WebhookRow

Event = Literal[
    "fine_tuning.job.succeeded", "fine_tuning.job.failed", "fine_tuning.job.cancelled"
]  # fmt: skip
EVENTS: tuple[Event, ...] = get_args(Event)


def outbox(session: Session, project_id: str, type: Event, data: Mapping[str, Any]) -> None:
    """Write down, within this transaction, a message to each of the project's webhooks for it."""
    now = time.time()
    hooks = session.scalars(select(WebhookRow).where(WebhookRow.project_id == project_id))
    body = body_of(type, data, now)
    for hook in hooks:
        if type in hook.events:
            session.add(
                DeliveryRow(
                    id=new_id("wh_"),
                    webhook_id=hook.id,
                    body=body,
                    attempts=0,
                    due_at=now,
                    created_at=int(now),
                )
            )


def body_of(type: Event, data: Mapping[str, Any], now: float) -> str:
    """The message itself, as it is signed and sent."""
    event = {"id": new_id("evt_"), "object": "event", "created_at": int(now)}
    return json.dumps({**event, "type": type, "data": dict(data)})
