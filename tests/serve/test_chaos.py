"""Jobs while server and workers are killed at random, the store is locked and disks are full.

The long run, with real trainings, is `python -m benchmarks.chaos`.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import pytest

from benchmarks.aftermath import all_ended, faults, some_run
from benchmarks.disturb import Server, disturb
from tests.serve import fake_work
from tests.serve.jobbing import caller, new_job
from tunesmith.serve.jobs.book import Jobs
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database

DISTURBANCES = 5
SOON = 120.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    more = {"min_free_bytes": 1, "lease_seconds": 2, "workers": 2, "max_attempts": 100}
    return settings.model_copy(update=more)


def test_every_job_ends_once_and_right_whatever_is_killed(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(root / "src"), str(root)]))
    jobs, expected, steps = _made(database, settings)
    command = [sys.executable, "-m", "tests.serve.fake_server"]
    server = Server(
        command, settings.home / "server.log", settings.model_dump_json().encode() + b"\n"
    )
    deadline = time.monotonic() + SOON
    try:
        disturb(
            server,
            random.Random(5),
            (0.1, 1.0),
            lambda: _steered(database, jobs, expected) or time.monotonic() > deadline,
            busy=lambda: some_run(database),
            store=settings.database_url,
            most=DISTURBANCES,
        )
    finally:
        server.stop()
    assert faults(database, settings, expected) == []
    for id, status in expected.items():
        assert not (settings.jobs / id / fake_work.OVERLAP).exists()
        if status == "succeeded":
            weights = (settings.jobs / id / "model" / "weights").read_text()
            assert weights == fake_work.weights(7, steps[id])


def _made(database: Database, settings: Settings) -> tuple[Jobs, dict[str, str], dict[str, int]]:
    """Jobs, how each is to end, and how many steps it has."""
    jobs, me = Jobs(database, settings), caller(database)
    expected: dict[str, str] = {}
    steps: dict[str, int] = {}
    wishes = [
        ("succeeded", {"steps": 8}),
        ("succeeded", {"steps": 6, "wrong": ["disk", 1]}),
        ("failed", {"fault": "Line 3 has no answer."}),
        ("failed", {"wrong": ["error", 9]}),
        ("cancelled", {"steps": 10_000}),
        ("succeeded", {"steps": 9}),
    ]
    for end, asked in wishes:
        id = jobs.create(me, new_job(asked={"seconds": 0.1, **asked})).id
        expected[id] = end
        steps[id] = asked.get("steps", 3)  # type: ignore[assignment]
    return jobs, expected, steps


def _steered(database: Database, jobs: Jobs, expected: dict[str, str]) -> bool:
    """Cancel the one that is to be cancelled once it has begun; whether all have ended."""
    for id, end in expected.items():
        if end == "cancelled" and jobs.get("proj_a", id).status == "running":
            jobs.cancel("proj_a", id)
    return all_ended(database)
