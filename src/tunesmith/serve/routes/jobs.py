"""/v1/fine_tuning/jobs: make jobs, watch them, steer them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from tunesmith.serve.errors import bad_request
from tunesmith.serve.guard.keys import Reader, Trainer
from tunesmith.serve.jobs.asking import new_job
from tunesmith.serve.routes.parts import Parts
from tunesmith.serve.wire.errors import refusals
from tunesmith.serve.wire.jobs import Checkpoint, Event, Job, JobAsked
from tunesmith.serve.wire.lists import After, Listed

router = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["fine-tuning"])

Limit = Annotated[int, Query(ge=1, le=1000)]

_LABEL = re.compile(r"metadata\[(.*)\]", re.DOTALL)
_LABELS: dict[str, Any] = {
    "parameters": [
        {
            "name": "metadata",
            "in": "query",
            "required": False,
            "style": "deepObject",
            "explode": True,
            "description": "Jobs with these labels: metadata[k]=v. metadata=null: those with none.",
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        }
    ]
}


@router.post("", operation_id="createFineTuningJob", responses=refusals(404))
def create(asked: JobAsked, caller: Trainer, parts: Parts) -> Job:
    """Make a job; it waits for its turn."""
    new = new_job(asked, caller, parts.files, parts.settings)
    return Job.of(parts.jobs.create(caller, new), parts.settings.organization)


@router.get(
    "", operation_id="listPaginatedFineTuningJobs", responses=refusals(), openapi_extra=_LABELS
)
def page(
    request: Request, caller: Reader, parts: Parts, after: After = None, limit: Limit = 20
) -> Listed[Job]:
    """The jobs of the project, newest first."""
    labels = labels_of(request)
    rows = parts.jobs.page(caller.project, after, limit, labels, unlabelled=labels is None)
    return Listed[Job].of(rows, lambda row: Job.of(row, parts.settings.organization))


@router.get("/{job_id}", operation_id="retrieveFineTuningJob", responses=refusals(404))
def retrieve(job_id: str, caller: Reader, parts: Parts) -> Job:
    """One job."""
    return Job.of(parts.jobs.get(caller.project, job_id), parts.settings.organization)


@router.post("/{job_id}/cancel", operation_id="cancelFineTuningJob", responses=refusals(404, 409))
def cancel(job_id: str, caller: Trainer, parts: Parts) -> Job:
    """End a job for good."""
    return Job.of(parts.jobs.cancel(caller.project, job_id), parts.settings.organization)


@router.post("/{job_id}/pause", operation_id="pauseFineTuningJob", responses=refusals(404, 409))
def pause(job_id: str, caller: Trainer, parts: Parts) -> Job:
    """Let a job rest; what it has learnt is kept."""
    return Job.of(parts.jobs.pause(caller.project, job_id), parts.settings.organization)


@router.post("/{job_id}/resume", operation_id="resumeFineTuningJob", responses=refusals(404, 409))
def resume(job_id: str, caller: Trainer, parts: Parts) -> Job:
    """Let a paused job go on from where it was."""
    return Job.of(parts.jobs.resume(caller.project, job_id), parts.settings.organization)


@router.get("/{job_id}/events", operation_id="listFineTuningEvents", responses=refusals(404))
def events(
    job_id: str, caller: Reader, parts: Parts, after: After = None, limit: Limit = 20
) -> Listed[Event]:
    """What happened to a job, newest first."""
    return Listed[Event].of(parts.jobs.events(caller.project, job_id, after, limit), Event.of)


@router.get(
    "/{job_id}/checkpoints",
    operation_id="listFineTuningJobCheckpoints",
    responses=refusals(404),
)
def checkpoints(
    job_id: str, caller: Reader, parts: Parts, after: After = None, limit: Limit = 10
) -> Listed[Checkpoint]:
    """The states of a job's model that can be asked, newest first."""
    rows = parts.jobs.checkpoints(caller.project, job_id, after, limit)
    return Listed[Checkpoint].of(rows, Checkpoint.of)


def labels_of(request: Request) -> dict[str, str] | None:
    """The labels that jobs are to have, None for jobs that have none at all.

    Raises ApiError 400 for a filter that would silently not be applied.
    """
    labels: dict[str, str] = {}
    given = [(name, value) for name, value in request.query_params.multi_items()
             if name.startswith("metadata")]  # fmt: skip
    if given == [("metadata", "null")]:
        return None
    for name, value in given:
        found = _LABEL.fullmatch(name)
        if found is None or found[1] in labels:
            raise bad_request(
                f"{name}: labels are asked for as metadata[key]=value, each key once; "
                "metadata=null alone asks for jobs that have none.",
                param="metadata",
            )
        labels[found[1]] = value
    return labels
