"""Models, and who may ask them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.serve.store.tables import ModelRow, PermissionRow
from tunesmith.serve.wire.base import Answer, Asked


class Model(Answer):
    """A model that can be asked; `created` of a base is 0, as nobody here made it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str

    @classmethod
    def of(cls, row: ModelRow, project: str) -> Model:
        """As the interface shows it: one that is only permitted does not say whose it is."""
        owner = row.project_id if row.project_id == project else "another-project"
        return cls(id=row.id, created=row.created_at, owned_by=owner)

    @classmethod
    def base(cls, name: str, organization: str) -> Model:
        """One that the operator serves."""
        return cls(id=name, created=0, owned_by=organization)


class ModelList(Answer):
    """All of them, in one page."""

    object: Literal["list"] = "list"
    data: list[Model]


class ModelDeleted(Answer):
    """A model is gone."""

    id: str
    object: Literal["model"] = "model"
    deleted: Literal[True] = True


ProjectId = Annotated[str, Field(min_length=1, max_length=64)]


class PermissionsAsked(Asked):
    """Projects that are to be permitted."""

    project_ids: Annotated[list[ProjectId], Field(min_length=1, max_length=100)]


class Permission(Answer):
    """That a project may ask a model of another."""

    id: str
    object: Literal["checkpoint.permission"] = "checkpoint.permission"
    created_at: int
    project_id: str

    @classmethod
    def of(cls, row: PermissionRow) -> Permission:
        """As the interface shows it."""
        return cls.model_validate(row, from_attributes=True)


class PermissionDeleted(Answer):
    """A permission is gone."""

    id: str
    object: Literal["checkpoint.permission"] = "checkpoint.permission"
    deleted: Literal[True] = True
