"""Workers as processes: killed, left alone by their server, restarted, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serve import fake_work
from tests.serve.jobbing import caller, new_job
from tunesmith.serve.jobs.book import Jobs
from tunesmith.serve.jobs.supervise import Supervisor
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database

WORK = "tests.serve.fake_work"
SOON = 40.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"min_free_bytes": 1, "lease_seconds": 5, "workers": 1})


@pytest.fixture
def jobs(database: Database, settings: Settings) -> Jobs:
    return Jobs(database, settings)


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes find the work that the tests give them."""
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root / "src"), str(root)]))


@pytest.fixture
def supervisor(database: Database, settings: Settings, found: None) -> Iterator[Supervisor]:
    supervisor = Supervisor(database, settings, WORK)
    supervisor.start()
    yield supervisor
    supervisor.stop()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def made(database: Database, jobs: Jobs, **asked: Any) -> str:
    return jobs.create(caller(database), new_job(asked=asked)).id


def step(settings: Settings, id: str) -> int:
    return len(list((settings.jobs / id).glob("checkpoint-*")))


def test_a_killed_worker_costs_its_job_nothing(
    database: Database, jobs: Jobs, settings: Settings, supervisor: Supervisor
) -> None:
    id = made(database, jobs, steps=12, seconds=0.1)
    until(lambda: step(settings, id) >= 1)
    for pid in supervisor.pids():
        os.kill(pid, signal.SIGKILL)
    until(lambda: jobs.get("proj_a", id).status == "succeeded")
    said = [event.message for event in jobs.events("proj_a", id, limit=100).rows]
    assert "Fine-tuning job taken up again" in said
    assert "Step 1/12" in said
    assert said.count("The job has successfully completed") == 1
    assert (settings.jobs / id / "model" / "weights").read_text() == fake_work.weights(7, 12)


def test_a_clean_end_gives_jobs_back_within_seconds_and_leaves_no_process(
    database: Database, jobs: Jobs, settings: Settings, supervisor: Supervisor
) -> None:
    id = made(database, jobs, steps=1000, seconds=0.05)
    until(lambda: step(settings, id) >= 1)
    pids = supervisor.pids()
    assert len(pids) == 2
    began = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - began < 10
    job = jobs.get("proj_a", id)
    assert (job.status, job.lease_owner, job.attempts) == ("queued", None, 0)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_worker_that_does_not_give_way_is_ended_and_its_job_is_free(
    database: Database, jobs: Jobs, supervisor: Supervisor
) -> None:
    id = made(database, jobs, wrong=("stuck", 1))
    until(lambda: jobs.get("proj_a", id).status == "running")
    supervisor.stop(patience=0.5)
    assert supervisor.pids() == []
    assert jobs.get("proj_a", id).status == "queued"


def test_a_worker_whose_server_is_gone_gives_its_job_back_and_ends(
    database: Database, jobs: Jobs, settings: Settings
) -> None:
    id = made(database, jobs, steps=1000, seconds=0.05)
    command = [sys.executable, "-m", "tunesmith.serve.jobs.worker", "--work", WORK]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        worker.stdin.write(settings.model_dump_json().encode() + b"\n")
        worker.stdin.flush()
        until(lambda: step(settings, id) >= 1)
        worker.stdin.close()
        assert worker.wait(SOON) == 0
    job = jobs.get("proj_a", id)
    assert (job.status, job.lease_owner) == ("queued", None)
