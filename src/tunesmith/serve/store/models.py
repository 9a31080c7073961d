"""Models as their owners see them: the operator's bases, and what jobs have made of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import ColumnElement, Select, delete, or_, select

from tunesmith.runs.finished import KINDS
from tunesmith.serve.errors import ApiError, bad_request, forbidden
from tunesmith.serve.own.aliases import Aliases
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import ModelRow, PermissionRow

_CHECKPOINT = ":ckpt-step-"


class Models:
    """The models of all projects; each act sees those that one may ask."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._aliases = Aliases(settings)

    def all(self, project: str) -> Sequence[ModelRow]:
        """Those that the project has made or may ask, oldest first."""
        with self._database.read() as session:
            return session.scalars(_visible(project).order_by(ModelRow.seq)).all()

    def get(self, project: str, id: str) -> ModelRow:
        """By its id, or by a name that leads to it. Raises ApiError 404."""
        with self._database.read() as session:
            row = session.scalar(_visible(project).where(ModelRow.id == id))
            if row is None and (job := self._aliases.job_of(project, id)) is not None:
                row = session.scalar(_visible(project).where(*_made_by(job)))
        if row is None:
            raise no_model(id)
        return row

    def judged(self, project: str, id: str) -> Path:
        """The run folder of a model that a job of the project ended with, and was judged.

        Raises ApiError 400, 404.
        """
        row = self.get(project, id)
        if row.project_id != project:
            raise no_model(id)
        if _CHECKPOINT in row.id:
            raise bad_request(
                f"{id} is a checkpoint, which was not judged. Name the model of its job.",
                param="model",
            )
        return self._settings.home / row.folder

    def delete(self, project: str, id: str) -> None:
        """Take a model away, with its weights; verdict and report stay with their job.

        Raises ApiError 403, 404.
        """
        if id in self._settings.bases:
            raise forbidden(f"{id} is a base that the operator serves; it cannot be deleted.")
        with self._database.write() as session:
            row = session.scalar(_visible(project).where(ModelRow.id == id).with_for_update())
            if row is None:
                raise no_model(id)
            if row.project_id != project:
                raise forbidden(f"{id} belongs to another project, which alone can delete it.")
            row.deleted_at = int(time.time())
            session.execute(delete(PermissionRow).where(PermissionRow.model_id == id))
        for kind in KINDS:
            shutil.rmtree(self._settings.home / row.folder / kind, ignore_errors=True)


def _made_by(job: str) -> tuple[ColumnElement[bool], ...]:
    """The model that the job ended with, none of its checkpoints."""
    return ModelRow.job_id == job, ModelRow.id.not_like(f"%{_CHECKPOINT}%")


def _visible(project: str) -> Select[ModelRow]:
    """What the project owns, or was permitted to ask."""
    permitted = select(PermissionRow.model_id).where(PermissionRow.project_id == project)
    return select(ModelRow).where(
        ModelRow.deleted_at.is_(None),
        or_(ModelRow.project_id == project, ModelRow.id.in_(permitted)),
    )


def no_model(id: str) -> ApiError:
    """There is no such model that this project may ask."""
    return ApiError(
        404,
        f"The model {id} does not exist, or this key may not ask it. GET /v1/models lists those "
        "that there are.",
        param="model",
        code="model_not_found",
    )
