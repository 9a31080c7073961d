"""/v1/webhook_endpoints: where a project is told what became of its jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from tunesmith.serve.guard.keys import Admin
from tunesmith.serve.routes.parts import Parts
from tunesmith.serve.wire.errors import refusals
from tunesmith.serve.wire.lists import After, Listed
from tunesmith.serve.wire.webhooks import (
    EventTypes,
    Rotation,
    SampleAsked,
    SampleSent,
    Webhook,
    WebhookAsked,
    WebhookChanges,
    WebhookDeleted,
    WebhookWithSecret,
)

router = APIRouter(prefix="/v1", tags=["webhooks"])
_ONE = "/webhook_endpoints/{webhook_id}"


@router.get("/webhook_event_types", operation_id="listWebhookEventTypes", responses=refusals())
def event_types(caller: Admin) -> EventTypes:
    """What can be told of."""
    return EventTypes()


@router.post("/webhook_endpoints", operation_id="createWebhook", responses=refusals(409))
def create(asked: WebhookAsked, caller: Admin, parts: Parts) -> WebhookWithSecret:
    """A new one, with its secret, which is not shown again."""
    row = parts.webhooks.create(caller.project, asked.name, asked.url, asked.event_types)
    return WebhookWithSecret.of(row)


@router.get("/webhook_endpoints", operation_id="listWebhooks", responses=refusals())
def page(
    caller: Admin,
    parts: Parts,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Listed[Webhook]:
    """The project's, newest first."""
    return Listed[Webhook].of(parts.webhooks.page(caller.project, after, limit), Webhook.of)


@router.get(_ONE, operation_id="retrieveWebhook", responses=refusals(404))
def retrieve(webhook_id: str, caller: Admin, parts: Parts) -> Webhook:
    """One of the project's."""
    return Webhook.of(parts.webhooks.get(caller.project, webhook_id))


@router.post(_ONE, operation_id="updateWebhook", responses=refusals(404))
def update(webhook_id: str, asked: WebhookChanges, caller: Admin, parts: Parts) -> Webhook:
    """Change what is given."""
    changes = {"name": asked.name, "url": asked.url}
    row = parts.webhooks.update(caller.project, webhook_id, events=asked.event_types, **changes)
    return Webhook.of(row)


@router.delete(_ONE, operation_id="deleteWebhook", responses=refusals(404))
def delete(webhook_id: str, caller: Admin, parts: Parts) -> WebhookDeleted:
    """Send nothing more to it."""
    parts.webhooks.delete(caller.project, webhook_id)
    return WebhookDeleted(id=webhook_id)


@router.post(f"{_ONE}/rotate_secret", operation_id="rotateWebhookSecret", responses=refusals(404))
def rotate(
    webhook_id: str, caller: Admin, parts: Parts, asked: Rotation | None = None
) -> WebhookWithSecret:
    """A new secret, which is not shown again."""
    keep = asked is not None and asked.keep_old_secret_active_for_24_hours
    row = parts.webhooks.rotate(caller.project, webhook_id, keep_old=keep)
    return WebhookWithSecret.of(row)


@router.post(f"{_ONE}/test", operation_id="testWebhook", responses=refusals(404))
def test(webhook_id: str, asked: SampleAsked, caller: Admin, parts: Parts) -> SampleSent:
    """Send a sample at once."""
    status = parts.webhooks.test(caller.project, webhook_id, asked.event_type)
    return SampleSent(
        webhook_endpoint_id=webhook_id, event_type=asked.event_type, status_code=status
    )
