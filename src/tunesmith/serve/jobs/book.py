"""Jobs as their owners see and steer them: made, listed, cancelled, paused, resumed.

A cancelled or paused job is so at once, whether its worker lives or not. The worker finds out by
its next heartbeat: after a cancel its lease is gone, and with it all it could still have written;
after a pause it keeps the lease until it has saved where it is, so that nobody takes the job up
again meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session

from tunesmith.serve.caller import Caller
from tunesmith.serve.disk import require_room
from tunesmith.serve.errors import conflict, not_found, too_many
from tunesmith.serve.ids import new_id
from tunesmith.serve.jobs.moves import add_event, move, release
from tunesmith.serve.jobs.states import FINISHED
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.page import Page, newest_first
from tunesmith.serve.store.tables import (
    CheckpointRow,
    JobEventRow,
    JobLabelRow,
    JobRow,
)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A request that was found to be good: its files and its base are there, its values in range.

    `asked` is the request as it came; `method` and `hyperparameters` are as the interface shows
    them, with `auto` wherever it was not said otherwise.
    """

    model: str
    training_file: str
    seed: int
    asked: Mapping[str, Any]
    method: Mapping[str, Any]
    hyperparameters: Mapping[str, Any]
    validation_file: str | None = None
    suffix: str | None = None
    labels: Mapping[str, str] | None = None
    priority: int = 0


class Jobs:
    """The jobs of all projects; each act sees those of one alone."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def create(self, caller: Caller, new: NewJob) -> JobRow:
        """A job that waits for its files to be validated.

        Raises ApiError: 503 where the disk is nearly full, 429 where the project has too many.
        """
        require_room(self._settings)
        with self._database.write() as session:
            self._require_place(session, caller.project)
            job = _row(caller, new)
            session.add(job)
            session.flush()
            session.add_all(
                JobLabelRow(job_seq=job.seq, key=key, value=value)
                for key, value in (new.labels or {}).items()
            )
            add_event(session, job, f"Created fine-tuning job: {job.id}")
            add_event(session, job, _validating(new))
        return job

    def get(self, project: str, id: str) -> JobRow:
        """Raises ApiError 404."""
        with self._database.read() as session:
            return _mine(session, project, id)

    def page(
        self,
        project: str,
        after: str | None = None,
        limit: int = 20,
        labels: Mapping[str, str] | None = None,
        *,
        unlabelled: bool = False,
    ) -> Page[JobRow]:
        """The project's jobs that have all of these labels, or, `unlabelled`, none at all."""
        jobs = select(JobRow).where(JobRow.project_id == project)
        mine = JobLabelRow.job_seq == JobRow.seq
        for key, value in (labels or {}).items():
            jobs = jobs.where(
                exists().where(mine, JobLabelRow.key == key, JobLabelRow.value == value)
            )
        if unlabelled:
            jobs = jobs.where(~exists().where(mine))
        with self._database.read() as session:
            return newest_first(session, jobs, JobRow, after, limit)

    def cancel(self, project: str, id: str) -> JobRow:
        """End the job; nothing is written for it any more. Raises ApiError 404, 409."""
        with self._database.write() as session:
            job = _mine(session, project, id)
            move(session, job, "cancelled", "Fine-tuning job cancelled")
            release(job)
        return job

    def pause(self, project: str, id: str) -> JobRow:
        """Let the job rest where it is. Raises ApiError 404, 409."""
        with self._database.write() as session:
            job = _mine(session, project, id)
            move(session, job, "paused", "Fine-tuning job paused")
            job.estimated_finish = None
            job.wanted = "pause" if job.lease_owner else None
        return job

    def resume(self, project: str, id: str) -> JobRow:
        """Let a paused job wait for its turn again. Raises ApiError 404, 409."""
        with self._database.write() as session:
            job = _mine(session, project, id)
            if job.status != "paused":
                raise conflict(
                    f"The job {job.id} is {job.status}; only a paused one can be resumed. "
                    "Nothing was changed.",
                    code="job_state_conflict",
                )
            move(session, job, "queued", "Fine-tuning job resumed, moving job to queued state")
        return job

    def events(
        self, project: str, id: str, after: str | None = None, limit: int = 20
    ) -> Page[JobEventRow]:
        """What happened to the job. Raises ApiError 404."""
        return self._page_of(JobEventRow, project, id, after, limit)

    def checkpoints(
        self, project: str, id: str, after: str | None = None, limit: int = 10
    ) -> Page[CheckpointRow]:
        """The states of its model that can be asked. Raises ApiError 404."""
        return self._page_of(CheckpointRow, project, id, after, limit)

    def _page_of(
        self, table: Any, project: str, id: str, after: str | None, limit: int
    ) -> Page[Any]:
        with self._database.read() as session:
            _mine(session, project, id)
            rows: Select[Any] = select(table).where(table.job_id == id)
            return newest_first(session, rows, table, after, limit)

    def _require_place(self, session: Session, project: str) -> None:
        waiting = session.scalar(
            select(func.count())
            .select_from(JobRow)
            .where(JobRow.project_id == project, JobRow.status.not_in(FINISHED))
        )
        most = self._settings.limits.jobs_waiting
        if waiting is not None and waiting >= most:
            raise too_many(
                f"This project has {waiting} fine-tuning jobs that are not finished, and at most "
                f"{most} are allowed. Wait for one to finish, or cancel one.",
                60,
                code="too_many_jobs",
            )


def _mine(session: Session, project: str, id: str) -> JobRow:
    job = session.scalar(select(JobRow).where(JobRow.id == id, JobRow.project_id == project))
    if job is None:
        raise not_found("fine-tuning job", id)
    return job


def _validating(new: NewJob) -> str:
    other = f" and validation file: {new.validation_file}" if new.validation_file else ""
    return f"Validating training file: {new.training_file}{other}"


def _row(caller: Caller, new: NewJob) -> JobRow:
    return JobRow(
        id=new_id("ftjob-"),
        project_id=caller.project,
        key_id=caller.key,
        model=new.model,
        training_file=new.training_file,
        validation_file=new.validation_file,
        suffix=new.suffix,
        seed=new.seed,
        asked=dict(new.asked),
        method=dict(new.method),
        hyperparameters=dict(new.hyperparameters),
        labels=dict(new.labels) if new.labels is not None else None,
        status="validating_files",
        priority=new.priority,
        attempts=0,
        created_at=int(time.time()),
        result_files=[],
    )
