"""The right to work on a job, and to write for it, until the lease runs out.

Every write looks first, in its own transaction, whether the job is still this worker's: one that
was taken for dead and wakes up again can write nothing more.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from tunesmith.serve.jobs.moves import EventType, Level, add_event, fail, move, release, try_again
from tunesmith.serve.jobs.publish import (
    fine_tuned_name,
    keep_checkpoint,
    publish_model,
    publish_results,
    store_results,
)
from tunesmith.serve.jobs.work import Claimed, Fault, Kind, LeaseLost, Outcome, Wanted
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import JobRow

_GIVEN_BACK = "The service is stopping; the job goes on from its last checkpoint"


class Lease:
    """One job in the hands of one worker. Each act raises LeaseLost once it is another's."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        claimed: Claimed,
        owner: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._settings = settings
        self._owner = owner
        self._clock = clock
        self.claimed = claimed

    @contextmanager
    def held(self) -> Iterator[tuple[Session, JobRow]]:
        """A transaction in which the job is this worker's."""
        with self._database.write() as session:
            id = self.claimed.job.id
            mine = select(JobRow).where(JobRow.id == id, JobRow.lease_owner == self._owner)
            job = session.scalar(mine)
            if job is None:
                raise LeaseLost(id)
            yield session, job

    def beat(self) -> Wanted | None:
        """The worker lives: the lease goes on. Returns what its owner asked of the job."""
        try:
            with self.held() as (_, job):
                job.lease_until = self._clock() + self._settings.lease_seconds
                return "pause" if job.wanted == "pause" else None
        except LeaseLost:
            if self._is_cancelled():
                return "cancel"
            raise

    def _is_cancelled(self) -> bool:
        with self._database.read() as session:
            status = select(JobRow.status).where(JobRow.id == self.claimed.job.id)
            return session.scalar(status) == "cancelled"

    def event(
        self,
        message: str,
        level: Level = "info",
        type: EventType = "message",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Something that happened."""
        with self.held() as (session, job):
            add_event(session, job, message, level=level, type=type, data=data)

    def resolved(self, method: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> None:
        """What each `auto` has become."""
        with self.held() as (_, job):
            job.method = dict(method)
            job.hyperparameters = dict(hyperparameters)

    def expect(self, finish: int) -> None:
        """When the job is expected to be done, in Unix seconds."""
        with self.held() as (_, job):
            job.estimated_finish = finish

    def checkpoint(
        self, step: int, metrics: Mapping[str, Any], folder: Path, kind: Kind = "chat"
    ) -> None:
        """A state of the model that can be asked. It came further: attempts count anew."""
        with self.held() as (session, job):
            old = keep_checkpoint(session, job, self._settings, step, metrics, folder, kind)
            if old is not None:
                job.attempts = 0
        for withdrawn in old or ():
            shutil.rmtree(withdrawn, ignore_errors=True)

    def validated(self, fault: Fault | None) -> None:
        """Its files were looked at: it waits for its training, or ends here."""
        with self.held() as (session, job):
            release(job)
            if job.status != "validating_files":
                return  # paused meanwhile
            if fault is None:
                move(session, job, "queued", "Files validated, moving job to queued state")
            else:
                fail(session, job, fault)

    def finish(self, outcome: Outcome) -> None:
        """The work has ended: all that came of it becomes visible at once, and the job is free.

        Of a job that was paused meanwhile nothing is published: once it is resumed, it is taken up
        again where the work left it, and ends then.
        """
        files = store_results(self._settings, outcome.results)
        with self.held() as (session, job):
            release(job)
            if job.status == "running":
                publish_results(session, job, files)
                if outcome.trained_tokens is not None:
                    job.trained_tokens = outcome.trained_tokens
                self._end(session, job, outcome)

    def _end(self, session: Session, job: JobRow, outcome: Outcome) -> None:
        if outcome.status == "succeeded":
            self._succeed(session, job, outcome)
        elif outcome.status == "failed":
            fail(session, job, outcome.fault or Fault("internal_error", "The job failed."))
        elif outcome.status == "queued":
            move(session, job, "queued", _GIVEN_BACK)
        else:
            move(session, job, outcome.status, f"Fine-tuning job {outcome.status}")

    def _succeed(self, session: Session, job: JobRow, outcome: Outcome) -> None:
        if outcome.model is not None:
            job.fine_tuned_model = fine_tuned_name(job, self._settings.organization)
            publish_model(
                session, job, self._settings, job.fine_tuned_model, outcome.model, outcome.kind
            )
            add_event(session, job, f"New fine-tuned model created: {job.fine_tuned_model}")
        move(session, job, "succeeded", "The job has successfully completed")

    def interrupted(self, why: str) -> None:
        """Something else than the job itself stopped it: it is tried again, but not for ever."""
        with self.held() as (session, job):
            try_again(session, job, why, self._settings.max_attempts, self._clock())
