"""Permissions: that other projects may ask a model, or a checkpoint, of this one."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from tunesmith.serve.errors import not_found
from tunesmith.serve.ids import new_id
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.models import no_model
from tunesmith.serve.store.page import Page, cut, place_of
from tunesmith.serve.store.tables import ModelRow, PermissionRow


class Permissions:
    """The acts on permissions; each sees those that one project gave."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, owner: str, model: str, projects: Sequence[str]) -> list[PermissionRow]:
        """One for each project, those that there were among them. Raises ApiError 404.

        Whether there is such a project is not looked at: the answer would tell.
        """
        with self._database.write() as session:
            _require_own(session, owner, model)
            known = {row.project_id: row for row in session.scalars(_given(owner, model))}
            for project in projects:
                if project not in known:
                    known[project] = _row(owner, model, project)
                    session.add(known[project])
        return [known[project] for project in dict.fromkeys(projects)]

    def page(
        self,
        owner: str,
        model: str,
        after: str | None,
        limit: int,
        *,
        project: str | None,
        ascending: bool,
    ) -> Page[PermissionRow]:
        """Raises ApiError 400, 404."""
        rows = _given(owner, model)
        if project is not None:
            rows = rows.where(PermissionRow.project_id == project)
        with self._database.read() as session:
            _require_own(session, owner, model)
            place = place_of(session, rows, PermissionRow, after)
            return cut(session, rows, PermissionRow, place, limit, ascending=ascending)

    def delete(self, owner: str, model: str, id: str) -> None:
        """Raises ApiError 404."""
        with self._database.write() as session:
            row = session.scalar(_given(owner, model).where(PermissionRow.id == id))
            if row is None:
                raise not_found("permission", id)
            session.delete(row)


def _given(owner: str, model: str) -> Select[PermissionRow]:
    return select(PermissionRow).where(
        PermissionRow.owner_id == owner, PermissionRow.model_id == model
    )


def _require_own(session: Session, owner: str, model: str) -> None:
    there = select(ModelRow.seq).where(
        ModelRow.id == model, ModelRow.project_id == owner, ModelRow.deleted_at.is_(None)
    )
    if session.scalar(there) is None:
        raise no_model(model)


def _row(owner: str, model: str, project: str) -> PermissionRow:
    return PermissionRow(
        id=new_id("cp_"),
        model_id=model,
        owner_id=owner,
        project_id=project,
        created_at=int(time.time()),
    )
