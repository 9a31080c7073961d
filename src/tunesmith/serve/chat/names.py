"""From the name that a client gives to what answers."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select

from tunesmith.serve.caller import Caller
from tunesmith.serve.chat.generation import Model
from tunesmith.serve.errors import ApiError, bad_request
from tunesmith.serve.jobs.work import Kind
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import ModelRow, PermissionRow

_ASKED_WITH: Mapping[str, str] = {
    "chat": "writes: ask it with /v1/chat/completions",
    "classifier": "labels texts: ask it with /v1/moderations",
    "embedder": "makes vectors of texts: ask it with /v1/embeddings",
    "image": "labels images: ask it with /v1/moderations",
}


class Names:
    """Bases by the operator's names; what was made here by the ids of jobs and checkpoints."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    def find(self, caller: Caller, name: str) -> Model:
        """What answers to a name. Raises ApiError 404, the same for a model of another project as
        for one that never was."""
        if name in self._settings.bases:
            return Model(name, name)
        row = self._row(caller, name)
        if row is None or row.base not in self._settings.bases:
            raise _no_model(name)
        return Model(row.id, row.base, row.kind, self._settings.home / row.folder)  # type: ignore[arg-type]

    def of_kind(self, caller: Caller, name: str, *kinds: Kind) -> Model:
        """The same, if it does what is wanted. Raises ApiError 400 or 404."""
        model = self.find(caller, name)
        if model.kind not in kinds:
            raise bad_request(f"{name} {_ASKED_WITH[model.kind]}.", param="model")
        return model

    def _row(self, caller: Caller, name: str) -> ModelRow | None:
        """The model of this id that the caller's project owns, or may ask."""
        allowed = select(PermissionRow.model_id).where(PermissionRow.project_id == caller.project)
        theirs = (ModelRow.project_id == caller.project) | ModelRow.id.in_(allowed)
        wanted = select(ModelRow).where(ModelRow.id == name, ModelRow.deleted_at.is_(None), theirs)
        with self._database.read() as session:
            return session.scalars(wanted).one_or_none()


def _no_model(name: str) -> ApiError:
    return ApiError(
        404,
        f"The model {name} does not exist, or this key may not ask it. GET /v1/models lists those "
        "that there are.",
        param="model",
        code="model_not_found",
    )
