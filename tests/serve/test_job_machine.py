"""Any sequence of acts by owners, workers, deaths and time: no illegal move, nothing lost or twice.

The model is the table of states and what a person knows of each job: who ended it, and whether.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from hypothesis import HealthCheck
from hypothesis import settings as of_hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import event, func, select
from sqlalchemy.orm.attributes import get_history

from tests.serve.jobbing import Clock, caller, new_job
from tunesmith.serve.errors import ApiError
from tunesmith.serve.jobs.book import Jobs
from tunesmith.serve.jobs.lease import Lease
from tunesmith.serve.jobs.queue import Queue
from tunesmith.serve.jobs.states import FINISHED, Status, is_legal
from tunesmith.serve.jobs.work import Fault, LeaseLost, Outcome
from tunesmith.serve.settings import Limits, Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import JobRow, ModelRow, Table

WORKERS = ("w1", "w2", "w3")
ENDS = ("succeeded", "failed", "queued")


def attempted(act: Callable[[], JobRow]) -> tuple[JobRow | None, int]:
    """What came of it, and the status of HTTP that its caller would see."""
    try:
        return act(), 200
    except ApiError as refused:
        return None, refused.status


class Machine(RuleBasedStateMachine):
    """A store, three workers that may die or sleep, and people who steer their jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        limits = Limits(jobs_running=2, jobs_waiting=6)
        self.settings = Settings(
            home=Path(self.folder.name), min_free_bytes=1, max_attempts=2, limits=limits
        )
        self.database = Database("sqlite:///" + self.folder.name + "/t.db")
        Table.metadata.create_all(self.database.engine)
        self.caller = caller(self.database)
        self.clock = Clock()
        self.jobs = Jobs(self.database, self.settings)
        self.queue = Queue(self.database, self.settings, self.clock)
        self.made: list[str] = []
        self.held: dict[str, Lease] = {}
        self.told: dict[str, str] = {}
        self.moves: list[tuple[Status, Status]] = []
        event.listen(JobRow, "before_update", self._moved)

    def _moved(self, mapper: Any, connection: Any, job: JobRow) -> None:
        changed = get_history(job, "status")
        if changed.deleted:
            self.moves.append((changed.deleted[0], cast(Status, job.status)))

    def teardown(self) -> None:
        event.remove(JobRow, "before_update", self._moved)
        self.database.close()
        self.folder.cleanup()

    @rule()
    def create(self) -> None:
        if len(self.made) < 12:
            made, status = attempted(lambda: self.jobs.create(self.caller, new_job()))
            assert status in (200, 429)
            if made is not None:
                self.made.append(made.id)

    @rule(which=st.integers(0, 11), act=st.sampled_from(["cancel", "pause", "resume"]))
    def steer(self, which: int, act: str) -> None:
        if which >= len(self.made):
            return
        before = self.jobs.get("proj_a", self.made[which]).status
        after = {"cancel": "cancelled", "pause": "paused", "resume": "queued"}[act]
        job, status = attempted(lambda: getattr(self.jobs, act)("proj_a", self.made[which]))
        legal = is_legal(cast(Status, before), cast(Status, after))
        legal = legal and (act != "resume" or before == "paused")
        assert status == (200 if legal else 409)
        assert job is None or job.status == after

    @rule(worker=st.sampled_from(WORKERS))
    def claim(self, worker: str) -> None:
        if worker not in self.held and (lease := self.queue.claim(worker)):
            self.held[worker] = lease

    @rule(worker=st.sampled_from(WORKERS))
    def beat(self, worker: str) -> None:
        if lease := self.held.get(worker):
            try:
                lease.beat()
            except LeaseLost:
                del self.held[worker]

    @rule(worker=st.sampled_from(WORKERS), end=st.sampled_from(ENDS), good=st.booleans())
    def conclude(self, worker: str, end: Any, good: bool) -> None:
        if not (lease := self.held.pop(worker, None)):
            return
        job = lease.claimed.job
        try:
            if job.status == "validating_files":
                lease.validated(None if good else Fault("bad", "It is bad."))
            else:
                fault = Fault("bad", "It is bad.") if end == "failed" else None
                model = self.settings.jobs / job.id
                lease.finish(Outcome(end, model=model, fault=fault))
        except LeaseLost:
            pass

    @rule(worker=st.sampled_from(WORKERS), seen=st.booleans())
    def die(self, worker: str, seen: bool) -> None:
        """`seen` by its supervisor, or not; or it only sleeps, and may conclude later."""
        if seen:
            self.held.pop(worker, None)
            self.queue.lost(worker)

    @rule(seconds=st.sampled_from([1, 20, 31, 90]))
    def passes(self, seconds: int) -> None:
        self.clock.now += seconds

    @invariant()
    def every_move_is_legal(self) -> None:
        assert all(is_legal(*move) for move in self.moves)
        self.moves.clear()

    @invariant()
    def nothing_is_lost_or_twice(self) -> None:
        with self.database.read() as session:
            rows = list(session.scalars(select(JobRow).order_by(JobRow.seq)))
            models = dict(
                session.execute(
                    select(ModelRow.job_id, func.count()).group_by(ModelRow.job_id)
                ).all()
            )
        assert [row.id for row in rows] == self.made
        running = [row for row in rows if row.status == "running"]
        assert len(running) <= self.settings.limits.jobs_running
        for row in rows:
            assert models.get(row.id, 0) == (row.status == "succeeded")
            assert (row.finished_at is None) is (row.status not in FINISHED)
            assert (row.error is not None) is (row.status == "failed")
            assert row.lease_owner is None or row.status not in FINISHED
            assert row.lease_owner is not None or row.status != "running"
            assert self.told.setdefault(row.id, row.status) == row.status or (
                self.told[row.id] not in FINISHED
            )
            self.told[row.id] = row.status

    @invariant()
    def no_worker_holds_two_and_no_job_is_in_two_hands(self) -> None:
        with self.database.read() as session:
            owners = list(
                session.scalars(select(JobRow.lease_owner).where(JobRow.lease_owner.is_not(None)))
            )
        live = [lease.claimed.job.id for lease in self.held.values() if self._is_mine(lease)]
        assert len(live) == len(set(live)) <= len(owners)

    def _is_mine(self, lease: Lease) -> bool:
        try:
            with lease.held():
                return True
        except LeaseLost:
            return False


TestMachine = Machine.TestCase
TestMachine.settings = of_hypothesis(
    max_examples=12, stateful_step_count=30, deadline=None,
    suppress_health_check=list(HealthCheck), derandomize=True,
)  # fmt: skip
