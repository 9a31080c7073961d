"""Moving a job from one state to another: the only place where `status` is written.

Each move is legal by `states.MOVES`, and is written together with the event that tells of it, in
the transaction of whoever moves the job.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal, cast

from sqlalchemy.orm import Session

from tunesmith.serve.errors import conflict
from tunesmith.serve.ids import new_id
from tunesmith.serve.jobs.states import FINISHED, Status, is_legal
from tunesmith.serve.store.tables import JobEventRow, JobRow

Level = Literal["info", "warn", "error"]
EventType = Literal["message", "metrics"]


def status_of(job: JobRow) -> Status:
    """The state that a job is in; nothing but `move` writes it."""
    return cast(Status, job.status)


def add_event(
    session: Session,
    job: JobRow,
    message: str,
    *,
    level: Level = "info",
    type: EventType = "message",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Something that happened to the job, for its owner to read."""
    event = JobEventRow(
        id=new_id("ftevent-"),
        job_id=job.id,
        created_at=int(time.time()),
        level=level,
        type=type,
        message=message,
        data=dict(data) if data is not None else None,
    )
    session.add(event)


def move(
    session: Session, job: JobRow, after: Status, message: str, *, level: Level = "info"
) -> None:
    """Change the state of a job that is locked by this transaction. Raises ApiError 409."""
    before = status_of(job)
    if not is_legal(before, after):
        never = " any more" if before in FINISHED else ""
        raise conflict(
            f"The job {job.id} is {before}; it cannot become {after}{never}. Nothing was changed.",
            code="job_state_conflict",
        )
    job.status = after
    now = int(time.time())
    if after == "running" and job.started_at is None:
        job.started_at = now
    if after in FINISHED:
        job.finished_at = now
        job.estimated_finish = None
    add_event(session, job, message, level=level)
