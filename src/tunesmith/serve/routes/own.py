"""/v1/tunesmith: what the published interface has no paths for."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from tunesmith.serve.guard.keys import Admin, Reader, Writer
from tunesmith.serve.routes.parts import Parts
from tunesmith.serve.wire.errors import refusals
from tunesmith.serve.wire.own import (
    Alias,
    AliasList,
    DataCheck,
    JobPart,
    Judgements,
    JudgementsKept,
    LearnedRows,
    Promotion,
    Rollback,
)

router = APIRouter(prefix="/v1/tunesmith", tags=["tunesmith"])
_ALIAS = "/aliases/{alias}"

PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox"
)
"""The report draws with its own styles and shapes; nothing is loaded, and no script ever runs."""


@router.post("/files/{file_id}/check", operation_id="checkFile", responses=refusals(404))
def check_file(file_id: str, caller: Reader, parts: Parts) -> DataCheck:
    """Look at a file of rows before anything is trained on it."""
    row = parts.files.get(caller.project, file_id)
    return DataCheck.model_validate(parts.looks.check(row))


@router.get("/jobs/{job_id}/report", operation_id="jobReport", responses=refusals(404, 409))
def report(job_id: str, caller: Reader, parts: Parts) -> HTMLResponse:
    """What a job made, held against its base: one page."""
    page = parts.looks.report(parts.jobs.get(caller.project, job_id))
    return HTMLResponse(page, headers={"content-security-policy": PAGE_POLICY})


@router.get("/jobs/{job_id}/{part}", operation_id="jobPart", responses=refusals(404, 409))
def part(
    job_id: str, part: Literal["ledger", "plan", "verdict"], caller: Reader, parts: Parts
) -> JobPart:
    """What became of each row, what was planned and took place, or the judgement."""
    content = parts.looks.part(parts.jobs.get(caller.project, job_id), part)
    return JobPart(job_id=job_id, part=part, content=content)


@router.post("/feedback", operation_id="addFeedback", responses=refusals())
def add_feedback(asked: Judgements, caller: Writer, parts: Parts) -> JudgementsKept:
    """Keep what people say of answers."""
    added = parts.feedback.add(caller.project, asked.judgements)
    return JudgementsKept(received=len(asked.judgements), added=added)


@router.get("/feedback/rows", operation_id="exportFeedback", responses=refusals())
def export_feedback(
    caller: Reader,
    parts: Parts,
    form: Literal["preference", "rating", "sft"] = "preference",
    agreed: Annotated[bool, Query(description="Only what nobody disputes.")] = False,
    persons: Annotated[bool, Query(description="Rows name who judged.")] = False,
) -> LearnedRows:
    """Rows to learn from."""
    found = parts.feedback.learned(caller.project, form, agreed=agreed, persons=persons)
    rows = [dict(each) for each in found.rows]
    return LearnedRows(form=form, rows=rows, left_out=dict(found.left_out))


@router.get("/aliases", operation_id="listAliases", responses=refusals())
def aliases(caller: Reader, parts: Parts) -> AliasList:
    """The names of the project that lead to models."""
    return AliasList(data=[Alias.of(each) for each in parts.aliases.all(caller.project)])


@router.get(_ALIAS, operation_id="retrieveAlias", responses=refusals(404))
def alias(alias: str, caller: Reader, parts: Parts) -> Alias:
    """One name, with all its versions."""
    return Alias.of(parts.aliases.get(caller.project, alias))


@router.post(f"{_ALIAS}/promote", operation_id="promote", responses=refusals(404, 409))
def promote(alias: str, asked: Promotion, caller: Admin, parts: Parts) -> Alias:
    """Let a name lead to a model of a job of the project, if its verdict says ship."""
    run = parts.models.judged(caller.project, asked.model)
    return Alias.of(parts.aliases.promote(caller.project, alias, run, asked.because))


@router.post(f"{_ALIAS}/rollback", operation_id="rollback", responses=refusals(404, 409))
def rollback(alias: str, caller: Admin, parts: Parts, asked: Rollback | None = None) -> Alias:
    """Let a name lead to the model that it led to before."""
    because = asked.because if asked else None
    return Alias.of(parts.aliases.rollback(caller.project, alias, because))
