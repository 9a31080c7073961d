"""Webhook endpoints, as the published interface has them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from tunesmith.serve.store.tables import WebhookRow
from tunesmith.serve.webhooks.events import EVENTS, Event
from tunesmith.serve.wire.base import Answer, Asked

Events = Annotated[list[Event], Field(min_length=1, max_length=32)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Url = Annotated[str, Field(min_length=1, max_length=2048)]


class WebhookAsked(Asked):
    """Where to tell, and of what."""

    event_types: Events
    name: Name
    url: Url


class WebhookChanges(Asked):
    """What is to be otherwise."""

    event_types: Events | None = None
    name: Name | None = None
    url: Url | None = None


class Rotation(Asked):
    """How to change the secret."""

    keep_old_secret_active_for_24_hours: bool = False


class SampleAsked(Asked):
    """What sample to send."""

    event_type: Event


class Webhook(Answer):
    """A webhook as it is shown, with the end of its secret to tell it by."""

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    created_at: int
    updated_at: int
    event_types: list[str]
    name: str
    url: str
    signing_secret_hint: str

    @classmethod
    def of(cls, row: WebhookRow) -> Webhook:
        """Without its secret."""
        return Webhook(
            id=row.id,
            created_at=row.created_at,
            updated_at=row.updated_at,
            event_types=row.events,
            name=row.name,
            url=row.url,
            signing_secret_hint=f"whsec_...{row.secret[-4:]}",
        )


class WebhookWithSecret(Webhook):
    """A webhook when it is made or its secret is changed: the only times the secret is shown."""

    signing_secret: str

    @classmethod
    def of(cls, row: WebhookRow) -> Self:
        """With its secret."""
        return cls(**Webhook.of(row).model_dump(), signing_secret=row.secret)


class WebhookDeleted(Answer):
    """That it is gone."""

    id: str
    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"
    deleted: Literal[True] = True


class SampleSent(Answer):
    """That a sample was sent, and what was answered."""

    object: Literal["webhook_endpoint.test"] = "webhook_endpoint.test"
    webhook_endpoint_id: str
    event_type: Event
    status_code: int
    success: Literal[True] = True


class EventTypes(Answer):
    """What can be told of."""

    object: Literal["list"] = "list"
    data: tuple[Event, ...] = EVENTS
