"""/v1/fine_tuning/checkpoints: which other projects may ask a model of this one."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from tunesmith.serve.guard.keys import Admin
from tunesmith.serve.routes.parts import Parts
from tunesmith.serve.store.page import Page
from tunesmith.serve.wire.errors import refusals
from tunesmith.serve.wire.lists import After, Listed
from tunesmith.serve.wire.models import Permission, PermissionDeleted, PermissionsAsked

router = APIRouter(prefix="/v1/fine_tuning/checkpoints", tags=["permissions"])

_PATH = "/{model:path}/permissions"


@router.post(_PATH, operation_id="createFineTuningCheckpointPermission", responses=refusals(404))
def create(model: str, asked: PermissionsAsked, caller: Admin, parts: Parts) -> Listed[Permission]:
    """Permit projects to ask a model."""
    rows = parts.permissions.create(caller.project, model, asked.project_ids)
    return Listed[Permission].of(Page(tuple(rows), has_more=False), Permission.of)


@router.get(_PATH, operation_id="listFineTuningCheckpointPermissions", responses=refusals(404))
def page(
    model: str,
    caller: Admin,
    parts: Parts,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
    order: Literal["ascending", "descending"] = "descending",
    project_id: Annotated[str | None, Query(max_length=64)] = None,
) -> Listed[Permission]:
    """Who is permitted, newest first."""
    rows = parts.permissions.page(
        caller.project, model, after, limit, project=project_id, ascending=order == "ascending"
    )
    return Listed[Permission].of(rows, Permission.of)


@router.delete(
    _PATH + "/{permission_id}",
    operation_id="deleteFineTuningCheckpointPermission",
    responses=refusals(404),
)
def delete(model: str, permission_id: str, caller: Admin, parts: Parts) -> PermissionDeleted:
    """Take a permission back."""
    parts.permissions.delete(caller.project, model, permission_id)
    return PermissionDeleted(id=permission_id)
