"""Which job is next, and who may work on it: a lease that runs out unless its holder is heard of.

Next is, among those that nobody works on: the highest priority; files to be validated before
training, as that takes seconds; of the project that has the fewest jobs running, or was served
longest ago; within a project the same between its keys; then the oldest.

Claims are writing transactions, which take turns, so no two workers ever get the same job.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from tunesmith.core.errors import RecipeError
from tunesmith.serve.disk import has_room
from tunesmith.serve.jobs.inputs import files_of
from tunesmith.serve.jobs.lease import Lease
from tunesmith.serve.jobs.moves import move, try_again
from tunesmith.serve.jobs.states import Status
from tunesmith.serve.jobs.work import Claimed, ClientFile
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import JobRow

STAGES: tuple[Status, ...] = ("validating_files", "queued")
"""What a worker can take up."""

_LOST = "The worker of this job was lost"


class Queue:
    """The jobs that wait for a worker, of all projects."""

    def __init__(
        self, database: Database, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

    def claim(self, owner: str, stages: Collection[Status] = STAGES) -> Lease | None:
        """Take the next job up, if one waits. Training begins only where the disk has room."""
        if not has_room(self._settings):
            stages = [stage for stage in stages if stage == "validating_files"]
        now = self._clock()
        with self._database.read() as session:
            if not _anything(session, now, stages):
                return None
        with self._database.write() as session:
            self._retake(session, _lapsed(now), now)
            job = self._next(session, stages, now)
            if job is None:
                return None
            _take(session, job, owner, now, now + self._settings.lease_seconds)
            claimed = Claimed(job, self._settings.jobs / job.id, self._files(session, job))
        return Lease(self._database, self._settings, claimed, owner, self._clock)

    def lost(self, owner: str) -> None:
        """The worker of this name is dead: others may take up what it held, at once."""
        with self._database.write() as session:
            self._retake(session, JobRow.lease_owner == owner, self._clock())

    def _files(self, session: Session, job: JobRow) -> dict[str, ClientFile]:
        try:
            return files_of(session, self._settings, job)
        except RecipeError:  # the job will fail of it; here it must not stop the others
            return {}

    def _retake(self, session: Session, condition: ColumnElement[bool], now: float) -> None:
        for job in session.scalars(select(JobRow).where(condition).order_by(JobRow.seq)):
            try_again(session, job, _LOST, self._settings.max_attempts, now)

    def _next(self, session: Session, stages: Collection[Status], now: float) -> JobRow | None:
        columns = (JobRow.seq, JobRow.project_id, JobRow.key_id, JobRow.priority, JobRow.status)
        waiting = session.execute(select(*columns).where(_waits(stages, now))).all()
        turns = _Turns(session, {row.project_id for row in waiting})
        most = self._settings.limits.jobs_running
        allowed = [
            row for row in waiting if row.status != "queued" or turns.running[row.project_id] < most
        ]
        if not allowed:
            return None
        return session.get_one(JobRow, min(allowed, key=turns.rank).seq)


class _Turns:
    """How much each project and key has running, and when it was last served."""

    def __init__(self, session: Session, projects: Collection[str]) -> None:
        self.running: Counter[Any] = Counter()
        self.served: dict[Any, float] = {}
        whose = (JobRow.project_id, JobRow.key_id)
        among = JobRow.project_id.in_(projects)
        count = select(*whose, func.count()).where(JobRow.status == "running", among)
        for project, key, number in session.execute(count.group_by(*whose)):
            self.running.update({project: number, (project, key): number})
        last = select(*whose, func.max(JobRow.claimed_at)).where(among)
        for project, key, at in session.execute(last.group_by(*whose)):
            self.served[project, key] = at or 0.0
            self.served[project] = max(at or 0.0, self.served.get(project, 0.0))

    def rank(self, row: Any) -> tuple[float, ...]:
        """The smallest is next."""
        project, key = row.project_id, (row.project_id, row.key_id)
        return (
            -row.priority,
            row.status != "validating_files",
            self.running[project],
            self.served[project],
            self.running[key],
            self.served[key],
            row.seq,
        )


def _anything(session: Session, now: float, stages: Collection[Status]) -> bool:
    """A look that makes nobody wait, so that idle workers may have it often."""
    found = select(JobRow.seq).where(or_(_waits(stages, now), _lapsed(now))).limit(1)
    return session.scalar(found) is not None


def _waits(stages: Collection[Status], now: float) -> ColumnElement[bool]:
    """Nobody works on it, and it has rested since it was last interrupted."""
    rested = or_(JobRow.lease_until.is_(None), JobRow.lease_until < now)
    return and_(JobRow.status.in_(stages), JobRow.lease_owner.is_(None), rested)


def _lapsed(now: float) -> ColumnElement[bool]:
    """Its worker has not been heard of for the time of its lease."""
    return and_(JobRow.lease_owner.is_not(None), JobRow.lease_until < now)


def _take(session: Session, job: JobRow, owner: str, now: float, until: float) -> None:
    if job.status == "queued":
        again = job.started_at is not None
        move(session, job, "running", f"Fine-tuning job {'taken up again' if again else 'started'}")
    job.wanted = None
    job.lease_owner = owner
    job.lease_until = until
    job.claimed_at = now
