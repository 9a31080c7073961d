"""/v1/models: what can be asked. Ids have colons, and bases may have slashes, in them."""

from __future__ import annotations

from fastapi import APIRouter

from tunesmith.serve.guard.keys import Reader, Writer
from tunesmith.serve.routes.parts import Parts
from tunesmith.serve.wire.errors import refusals
from tunesmith.serve.wire.models import Model, ModelDeleted, ModelList

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("", operation_id="listModels", responses=refusals())
def page(caller: Reader, parts: Parts) -> ModelList:
    """The bases, and the models that the project has made or may ask."""
    settings = parts.settings
    bases = [Model.base(name, settings.organization) for name in settings.bases]
    made = [Model.of(row, caller.project) for row in parts.models.all(caller.project)]
    return ModelList(data=bases + made)


@router.get("/{model:path}", operation_id="retrieveModel", responses=refusals(404))
def retrieve(model: str, caller: Reader, parts: Parts) -> Model:
    """One model."""
    if model in parts.settings.bases:
        return Model.base(model, parts.settings.organization)
    return Model.of(parts.models.get(caller.project, model), caller.project)


@router.delete("/{model:path}", operation_id="deleteModel", responses=refusals(404))
def delete(model: str, caller: Writer, parts: Parts) -> ModelDeleted:
    """Delete a model that the project has made, with its weights."""
    parts.models.delete(caller.project, model)
    return ModelDeleted(id=model)
