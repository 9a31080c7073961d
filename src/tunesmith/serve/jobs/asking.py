"""From a request for a job to one that can be kept: its files are there, and its base is served."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from tunesmith.serve.caller import Caller
from tunesmith.serve.errors import ApiError, bad_request
from tunesmith.serve.jobs.book import NewJob
from tunesmith.serve.jobs.recipe import check
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.files import Files
from tunesmith.serve.wire.jobs import AUTO, Dpo, Hyperparameters, JobAsked, Method, Supervised

LONGEST = 128 << 10
"""Characters of a request as JSON."""


def new_job(asked: JobAsked, caller: Caller, files: Files, settings: Settings) -> NewJob:
    """Raises ApiError 400 and 404."""
    if asked.model not in settings.bases:
        raise _no_base(asked.model, settings)
    request = asked.model_dump(exclude_unset=True)
    _require_short(request)
    for id in check(request, settings):
        files.get(caller.project, id, param=_param(asked, id))
    method = _method(asked)
    return NewJob(
        model=asked.model,
        training_file=asked.training_file,
        validation_file=asked.validation_file,
        suffix=asked.suffix,
        seed=secrets.randbelow(1 << 31) if asked.seed is None else asked.seed,
        asked=request,
        method=method,
        hyperparameters=_shared(method),
        labels=asked.metadata,
        priority=caller.priority,
    )


def _require_short(request: Mapping[str, Any]) -> None:
    """A job is kept for good, and listed with up to a thousand others."""
    size = len(json.dumps(request))
    if size > LONGEST:
        raise bad_request(
            f"The request has {size:,} characters, and {LONGEST:,} are the most that a job may "
            "have. Send a shorter grader or recipe, and put data into files."
        )


def _param(asked: JobAsked, id: str) -> str:
    """The field that names the file."""
    named = {asked.training_file: "training_file", asked.validation_file: "validation_file"}
    return named.get(id, "method")


def _method(asked: JobAsked) -> dict[str, Any]:
    """The method with all its hyperparameters, "auto" where nothing else was said."""
    method = asked.method or Method(type="supervised")
    said = getattr(method, method.type)
    if method.type == "supervised" and asked.hyperparameters is not None:
        said = Supervised(hyperparameters=asked.hyperparameters)
    elif said is None:
        said = Dpo() if method.type == "dpo" else Supervised()
    return {"type": method.type, method.type: said.model_dump()}


def _shared(method: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that every method has."""
    own = method[method["type"]].get("hyperparameters", {})
    return {name: own.get(name, AUTO) for name in Hyperparameters.model_fields}


def _no_base(model: str, settings: Settings) -> ApiError:
    return ApiError(
        404,
        f"No model {model} can be fine-tuned here. Jobs may start from: "
        f"{', '.join(sorted(settings.bases))}.",
        param="model",
        code="model_not_found",
    )
