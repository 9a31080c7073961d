"""/v1/moderations."""

from __future__ import annotations

from fastapi import APIRouter

from tunesmith.serve.guard.keys import Chatter
from tunesmith.serve.routes.parts import Parts
from tunesmith.serve.wire.errors import refusals
from tunesmith.serve.wire.moderations import ModerationRequest, Moderations

router = APIRouter(prefix="/v1/moderations", tags=["moderations"])


@router.post("", operation_id="createModeration", responses=refusals(404))
def moderate(asked: ModerationRequest, caller: Chatter, parts: Parts) -> Moderations:
    """The classes of texts or images, by a model that was tuned to tell them."""
    return parts.chat.labelling.moderate(caller, asked)
