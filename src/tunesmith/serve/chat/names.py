"""From the name that a client gives to what answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from tunesmith.serve.caller import Caller
from tunesmith.serve.chat.generation import Model
from tunesmith.serve.errors import bad_request
from tunesmith.serve.jobs.work import Kind
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.models import Models, no_model

_ASKED_WITH: Mapping[Kind, str] = {
    "chat": "writes: ask it with /v1/chat/completions",
    "classifier": "labels texts: ask it with /v1/moderations",
    "embedder": "makes vectors of texts: ask it with /v1/embeddings",
    "image": "labels images: ask it with /v1/moderations",
}


class Names:
    """Bases by the operator's names; what was made here by the ids of jobs and checkpoints."""

    def __init__(self, settings: Settings, models: Models) -> None:
        self._settings = settings
        self._models = models

    def find(self, caller: Caller, name: str) -> Model:
        """What answers to a name. Raises ApiError 404, the same for a model of another project as
        for one that never was."""
        if name in self._settings.bases:
            return Model(name, name)
        row = self._models.get(caller.project, name)
        if row.base not in self._settings.bases:
            raise no_model(name)
        return Model(row.id, row.base, cast(Kind, row.kind), self._settings.home / row.folder)

    def of_kind(self, caller: Caller, name: str, *kinds: Kind) -> Model:
        """The same, if it does what is wanted. Raises ApiError 400 or 404."""
        model = self.find(caller, name)
        if model.kind not in kinds:
            raise bad_request(f"{name} {_ASKED_WITH[model.kind]}.", param="model")
        return model
