"""/v1/fine_tuning/alpha/graders: try a grader before a job is made with it."""

from __future__ import annotations

from fastapi import APIRouter

from tunesmith.serve.guard.keys import Trainer
from tunesmith.serve.routes.parts import Parts
from tunesmith.serve.wire.errors import refusals
from tunesmith.serve.wire.graders import GraderAsked, GraderRun, GraderRunAsked, GraderValidated

router = APIRouter(prefix="/v1/fine_tuning/alpha/graders", tags=["graders"])


@router.post("/validate", operation_id="validateGrader", responses=refusals())
def validate(asked: GraderAsked, caller: Trainer, parts: Parts) -> GraderValidated:
    """Whether a job may use a grader."""
    return GraderValidated(grader=dict(parts.graders.validate(asked.grader)))


@router.post("/run", operation_id="runGrader", responses=refusals())
def run(asked: GraderRunAsked, caller: Trainer, parts: Parts) -> GraderRun:
    """What a grader says of an answer."""
    said = parts.graders.run(asked.grader, asked.model_sample, asked.item)
    return GraderRun.model_validate(said)
