"""One attempt at a job, and a worker that makes them: whatever happens, the job ends right."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import update

from tests.serve import fake_work
from tests.serve.jobbing import caller, new_job
from tunesmith.serve.jobs import attempt as module
from tunesmith.serve.jobs.attempt import LOG, attempt
from tunesmith.serve.jobs.book import Jobs
from tunesmith.serve.jobs.queue import Queue
from tunesmith.serve.jobs.worker import Worker
from tunesmith.serve.settings import Settings
from tunesmith.serve.store import database as database_module
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import JobRow

SOON = 20.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"min_free_bytes": 1, "lease_seconds": 0.4})


@pytest.fixture
def jobs(database: Database, settings: Settings) -> Jobs:
    return Jobs(database, settings)


@contextmanager
def working(database: Database, settings: Settings) -> Iterator[Worker]:
    worker = Worker(database, settings, fake_work, "w")
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stopping.set()
        thread.join()


def made(database: Database, jobs: Jobs, **asked: Any) -> str:
    return jobs.create(caller(database), new_job(asked=asked)).id


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(jobs: Jobs, id: str, status: str) -> JobRow:
    until(lambda: jobs.get("proj_a", id).finished_at is not None)
    job = jobs.get("proj_a", id)
    assert job.status == status
    return job


def step(settings: Settings, id: str) -> int:
    return len(list((settings.jobs / id).glob("checkpoint-*")))


def test_a_job_goes_from_its_files_to_its_model(
    database: Database, jobs: Jobs, settings: Settings
) -> None:
    id = made(database, jobs, steps=2)
    with working(database, settings):
        job = ended(jobs, id, "succeeded")
    assert job.trained_tokens == 2
    assert (settings.jobs / id / "model" / "weights").read_text() == fake_work.weights(7, 2)


def test_a_fault_of_the_data_and_an_error_of_ours_fail_the_job_and_not_the_worker(
    database: Database, jobs: Jobs, settings: Settings
) -> None:
    bad = made(database, jobs, fault="Line 3 has no answer.")
    ours = made(database, jobs, wrong=("error", 1))
    good = made(database, jobs)
    with working(database, settings):
        assert ended(jobs, bad, "failed").error["message"] == "Line 3 has no answer."  # type: ignore[index]
        error = ended(jobs, ours, "failed").error
        ended(jobs, good, "succeeded")
    assert error is not None
    assert error["code"] == "internal_error"
    said = " ".join(event.message for event in jobs.events("proj_a", ours).rows)
    assert "secret" not in said + error["message"]
    assert "a secret of the data" in (settings.jobs / ours / LOG).read_text()


def test_a_full_disk_gives_the_job_back_and_it_ends_when_there_is_room(
    database: Database, jobs: Jobs, settings: Settings
) -> None:
    id = made(database, jobs, wrong=("disk", 1))
    with working(database, settings):
        ended(jobs, id, "succeeded")
    said = [event.message for event in jobs.events("proj_a", id, limit=50).rows]
    assert sum("disk of this service was full" in message for message in said) == 1


def test_a_worker_that_is_to_end_gives_its_job_back_without_counting_it(
    database: Database, jobs: Jobs, settings: Settings
) -> None:
    id = made(database, jobs, steps=50, seconds=0.05)
    with working(database, settings):
        until(lambda: step(settings, id) >= 1)
    job = jobs.get("proj_a", id)
    assert (job.status, job.lease_owner, job.attempts) == ("queued", None, 0)


def test_pause_rests_where_it_is_and_resume_goes_on_from_there(
    database: Database, jobs: Jobs, settings: Settings
) -> None:
    id = made(database, jobs, steps=12, seconds=0.05)
    with working(database, settings):
        until(lambda: step(settings, id) >= 1)
        jobs.pause("proj_a", id)
        until(lambda: jobs.get("proj_a", id).lease_owner is None)
        assert jobs.get("proj_a", id).status == "paused"
        jobs.resume("proj_a", id)
        ended(jobs, id, "succeeded")
    assert (settings.jobs / id / "model" / "weights").read_text() == fake_work.weights(7, 12)
    rows = jobs.events("proj_a", id, limit=100).rows
    steps = [event.data["step"] for event in rows if event.data]
    assert steps == list(range(12, 0, -1)), "no step is done twice"


def test_cancel_ends_the_work_at_once(database: Database, jobs: Jobs, settings: Settings) -> None:
    id = made(database, jobs, steps=1000, seconds=0.02)
    after = made(database, jobs)
    with working(database, settings):
        until(lambda: step(settings, id) >= 1)
        jobs.cancel("proj_a", id)
        ended(jobs, after, "succeeded")
    ended(jobs, id, "cancelled")
    assert jobs.events("proj_a", id).rows[0].message == "Fine-tuning job cancelled"


def test_files_are_validated_once_even_of_a_job_that_was_paused_before(
    database: Database, jobs: Jobs, settings: Settings
) -> None:
    id = made(database, jobs, fault="Line 3 has no answer.")
    jobs.pause("proj_a", id)
    jobs.resume("proj_a", id)
    with working(database, settings):
        assert ended(jobs, id, "failed").error["param"] == "training_file"  # type: ignore[index]


def test_who_does_not_give_way_when_its_job_is_lost_is_ended(
    database: Database, jobs: Jobs, settings: Settings
) -> None:
    id = made(database, jobs, steps=100, seconds=1.5)
    queue = Queue(database, settings)
    first = queue.claim("w")
    assert first is not None
    first.validated(None)
    lease = queue.claim("w")
    assert lease is not None
    end = threading.Event()
    work = threading.Thread(
        target=attempt, args=(lease, fake_work, settings, threading.Event(), end.set)
    )
    work.start()
    with database.write() as session:
        session.execute(update(JobRow).where(JobRow.id == id).values(lease_owner="other"))
    assert end.wait(SOON)
    work.join()
    assert step(settings, id) <= 1


def test_a_store_that_is_locked_for_a_while_costs_nothing(
    database: Database, jobs: Jobs, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "PATIENCE", 0.05)
    impatient = Database(settings.database_url)
    id = made(database, jobs, steps=4, seconds=0.05)
    with working(impatient, settings):
        until(lambda: step(settings, id) >= 1)
        with database.write():
            time.sleep(1.0)
        ended(jobs, id, "succeeded")
    impatient.close()
    assert jobs.get("proj_a", id).attempts == 0


def test_nobody_works_in_a_folder_while_another_does(
    database: Database, jobs: Jobs, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()
    held.set()
    monkeypatch.setattr(module, "locked", lambda descriptor: not held.is_set())
    id = made(database, jobs)
    with working(database, settings):
        until(lambda: jobs.get("proj_a", id).lease_owner is not None)
        time.sleep(0.5)
        assert step(settings, id) == 0
        held.clear()
        ended(jobs, id, "succeeded")
