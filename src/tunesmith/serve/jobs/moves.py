"""Moving a job from one state to another: the only place where `status` is written.

Each move is legal by `states.MOVES`, and is written together with the event that tells of it, and
the messages to the project's webhooks, in the transaction of whoever moves the job. Writers take
turns (`store.database`), so what was read in that transaction still holds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal, cast

from sqlalchemy.orm import Session

from tunesmith.serve.errors import conflict
from tunesmith.serve.ids import new_id
from tunesmith.serve.jobs.states import FINISHED, Status, is_legal
from tunesmith.serve.jobs.work import Fault
from tunesmith.serve.store.tables import JobEventRow, JobRow
from tunesmith.serve.webhooks import Event, outbox

_ENDS: Mapping[Status, Event] = {
    "succeeded": "fine_tuning.job.succeeded",
    "failed": "fine_tuning.job.failed",
    "cancelled": "fine_tuning.job.cancelled",
}
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
    """Change the state of a job that this transaction has read. Raises ApiError 409."""
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
        outbox(session, job.project_id, _ENDS[after], {"id": job.id})
    add_event(session, job, message, level=level)


def fail(session: Session, job: JobRow, fault: Fault) -> None:
    """End a job that cannot succeed, and say why."""
    job.error = {"code": fault.code, "message": fault.message, "param": fault.param}
    move(session, job, "failed", fault.message, level="error")


LONGEST_REST = 60.0
"""Seconds that a job rests at most before it is taken up again."""


def release(job: JobRow) -> None:
    """Nobody works on the job any more."""
    job.wanted = job.lease_owner = job.lease_until = None


def try_again(session: Session, job: JobRow, why: str, most: int, now: float) -> None:
    """Give up a job that was interrupted by no wish of its owner's, to be taken up again.

    `why` is the beginning of a sentence. It rests twice as long each time; after `most` times
    without coming further it fails.
    """
    release(job)
    if job.status not in ("running", "validating_files"):
        return
    job.attempts += 1
    if job.attempts > most:
        fail(session, job, Fault("interrupted_too_often", _gave_up(why, job.attempts)))
        return
    job.lease_until = now + min(LONGEST_REST, 2.0 ** (job.attempts - 2))
    message = f"{why}; the job will be taken up again (attempt {job.attempts} of {most})"
    if job.status == "running":
        move(session, job, "queued", message, level="warn")
    else:
        add_event(session, job, message, level="warn")


def _gave_up(why: str, times: int) -> str:
    return (
        f"The job was interrupted {times} times without coming further, the last time because: "
        f"{why[0].lower()}{why[1:]}. Most often the machine has too little memory or disk for it: "
        "try a smaller base or batch_size, or ask the operator of this service."
    )
