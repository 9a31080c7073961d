"""Whose turn it is, and that a job is never in two hands, nor for ever in dead ones."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.serve.jobbing import Clock, caller, new_job
from tunesmith.serve import disk
from tunesmith.serve.jobs.book import Jobs
from tunesmith.serve.jobs.lease import Lease
from tunesmith.serve.jobs.publish import KEPT_CHECKPOINTS
from tunesmith.serve.jobs.queue import Queue
from tunesmith.serve.jobs.work import Fault, LeaseLost, Outcome
from tunesmith.serve.settings import Limits, Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import CheckpointRow, FileRow, JobRow, ModelRow

pytestmark = pytest.mark.stores


@pytest.fixture
def settings(settings: Settings) -> Settings:
    limits = Limits(jobs_running=2)
    more = {"min_free_bytes": 1, "limits": limits, "max_attempts": 2}
    return settings.model_copy(update=more)


@pytest.fixture
def jobs(database: Database, settings: Settings) -> Jobs:
    return Jobs(database, settings)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(database: Database, settings: Settings, clock: Clock) -> Queue:
    return Queue(database, settings, clock)


def validated(queue: Queue) -> None:
    """All that wait are found to be good."""
    while lease := queue.claim("validator", ["validating_files"]):
        lease.validated(None)


def made(
    database: Database, jobs: Jobs, project: str, key: str = "key_a", priority: int = 0
) -> str:
    return jobs.create(caller(database, project, key), new_job(priority=priority)).id


def claimed(queue: Queue, owner: str = "me") -> Lease:
    lease = queue.claim(owner)
    assert lease is not None
    return lease


def order(queue: Queue, clock: Clock) -> list[str]:
    """The jobs as they are taken up, each ended before the next."""
    taken = []
    while lease := queue.claim("me"):
        clock.now += 1
        taken.append(lease.claimed.job.id)
        lease.finish(Outcome("succeeded"))
    return taken


def test_the_highest_priority_is_next_and_then_the_oldest(
    database: Database, jobs: Jobs, queue: Queue, clock: Clock
) -> None:
    low, first, second = (made(database, jobs, "proj_a", priority=n) for n in (-1, 0, 0))
    high = made(database, jobs, "proj_a", priority=5)
    validated(queue)
    assert order(queue, clock) == [high, first, second, low]


def test_projects_take_turns_and_so_do_the_keys_of_one(
    database: Database, jobs: Jobs, queue: Queue, clock: Clock
) -> None:
    a = [made(database, jobs, "proj_a", "one") for _ in range(3)]
    a.append(made(database, jobs, "proj_a", "two"))
    b = [made(database, jobs, "proj_b", "three") for _ in range(2)]
    validated(queue)
    with database.write() as session:  # as if nobody had been served yet
        for job in session.scalars(select(JobRow)):
            job.claimed_at = None
    assert order(queue, clock) == [a[0], b[0], a[3], b[1], a[1], a[2]]


def test_who_has_less_running_is_next_and_nobody_has_more_than_allowed(
    database: Database, jobs: Jobs, queue: Queue
) -> None:
    a = [made(database, jobs, "proj_a") for _ in range(4)]
    b = made(database, jobs, "proj_b")
    validated(queue)
    taken = [lease.claimed.job.id for _ in range(5) if (lease := queue.claim("me"))]
    assert taken[:2] in ([a[0], b], [b, a[0]])
    assert taken[2:] == [a[1]]


def test_files_are_validated_before_anything_is_trained(
    database: Database, jobs: Jobs, queue: Queue
) -> None:
    made(database, jobs, "proj_a")
    validated(queue)
    new = made(database, jobs, "proj_a")
    assert claimed(queue).claimed.job.id == new


def test_nothing_is_trained_where_the_disk_is_nearly_full(
    database: Database, jobs: Jobs, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(database, jobs, "proj_a")
    monkeypatch.setattr(disk, "free_bytes", lambda home: 0)
    validated(queue)
    assert queue.claim("me") is None
    monkeypatch.undo()
    assert queue.claim("me") is not None


def test_two_that_claim_at_once_never_get_the_same(
    database: Database, jobs: Jobs, settings: Settings
) -> None:
    most = Limits(jobs_running=100)
    queue = Queue(database, settings.model_copy(update={"limits": most}))
    for _ in range(12):
        made(database, jobs, "proj_a")
    validated(queue)
    taken: list[str] = []

    def take(owner: str) -> None:
        while lease := queue.claim(owner):
            taken.append(lease.claimed.job.id)

    threads = [threading.Thread(target=take, args=(f"w{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 12


def test_a_lease_that_ran_out_goes_to_another_and_its_first_holder_can_write_nothing(
    database: Database, jobs: Jobs, queue: Queue, clock: Clock, settings: Settings, tmp_path: Path
) -> None:
    id = made(database, jobs, "proj_a")
    validated(queue)
    dead = claimed(queue, "dead")
    clock.now += settings.lease_seconds - 1
    dead.beat()
    clock.now += settings.lease_seconds - 1
    assert queue.claim("other") is None
    clock.now += 2
    assert queue.claim("other") is None, "it rests for a moment"
    clock.now += 1
    alive = claimed(queue, "other")
    assert alive.claimed.job.id == id
    assert alive.claimed.job.attempts == 1
    writes = (
        dead.beat,
        lambda: dead.event("I was asleep"),
        lambda: dead.resolved({}, {}),
        lambda: dead.expect(1),
        lambda: dead.checkpoint(1, {}, settings.jobs / id),
        lambda: dead.validated(None),
        lambda: dead.interrupted("I was asleep"),
        lambda: dead.finish(Outcome("succeeded", results={"a.csv": result(tmp_path)})),
    )
    before = jobs.events("proj_a", id, limit=100)
    for write in writes:
        with pytest.raises(LeaseLost):
            write()
    after = jobs.events("proj_a", id, limit=100)
    assert [event.id for event in before.rows] == [event.id for event in after.rows]
    assert jobs.get("proj_a", id).status == "running"
    with database.read() as session:
        assert not list(session.scalars(select(FileRow)))
    alive.finish(Outcome("succeeded"))


def test_who_dies_again_and_again_fails_with_a_sentence_and_rests_longer_each_time(
    database: Database, jobs: Jobs, queue: Queue, clock: Clock, settings: Settings
) -> None:
    id = made(database, jobs, "proj_a")
    validated(queue)
    for attempt in range(1, settings.max_attempts + 1):
        claimed(queue, f"w{attempt}")
        queue.lost(f"w{attempt}")
        assert queue.claim("too early") is None
        clock.now += 2.0 ** (attempt - 2) + 0.01
    claimed(queue, "last")
    queue.lost("last")
    job = jobs.get("proj_a", id)
    assert (job.status, job.lease_owner) == ("failed", None)
    assert job.error is not None
    assert job.error["code"] == "interrupted_too_often"
    assert "interrupted 3 times without coming further" in job.error["message"]


def test_who_comes_further_may_be_interrupted_as_often_again(
    database: Database, jobs: Jobs, queue: Queue, clock: Clock, settings: Settings
) -> None:
    id = made(database, jobs, "proj_a")
    validated(queue)
    for step in (1, 1, 2):
        lease = claimed(queue, "w")
        lease.checkpoint(step, {"train_loss": 1.0}, settings.jobs / id / str(step))
        queue.lost("w")
        clock.now += 60
    assert jobs.get("proj_a", id).attempts == 1
    assert [row.step_number for row in jobs.checkpoints("proj_a", id).rows] == [2, 1]


def test_validation_whose_worker_dies_is_taken_up_again_and_not_for_ever(
    database: Database, jobs: Jobs, queue: Queue, clock: Clock, settings: Settings
) -> None:
    id = made(database, jobs, "proj_a")
    for _ in range(settings.max_attempts + 1):
        assert claimed(queue, "w").claimed.job.status == "validating_files"
        queue.lost("w")
        clock.now += 60
    assert jobs.get("proj_a", id).status == "failed"


def test_a_fault_of_the_files_ends_the_job_with_it(
    database: Database, jobs: Jobs, queue: Queue
) -> None:
    id = made(database, jobs, "proj_a")
    fault = Fault("invalid_training_file", "Line 3 has no answer.", "training_file")
    claimed(queue).validated(fault)
    job = jobs.get("proj_a", id)
    assert job.status == "failed"
    assert job.error == {
        "code": "invalid_training_file",
        "message": "Line 3 has no answer.",
        "param": "training_file",
    }


def test_a_cancelled_job_can_be_written_for_no_more_and_its_worker_learns_why(
    database: Database, jobs: Jobs, queue: Queue
) -> None:
    id = made(database, jobs, "proj_a")
    validated(queue)
    lease = claimed(queue)
    jobs.cancel("proj_a", id)
    assert lease.beat() == "cancel"
    with pytest.raises(LeaseLost):
        lease.finish(Outcome("succeeded"))
    assert jobs.get("proj_a", id).status == "cancelled"


def test_a_paused_job_is_not_taken_up_before_its_worker_has_given_way(
    database: Database, jobs: Jobs, queue: Queue
) -> None:
    id = made(database, jobs, "proj_a")
    validated(queue)
    lease = claimed(queue)
    assert lease.beat() is None
    jobs.pause("proj_a", id)
    jobs.resume("proj_a", id)
    assert lease.beat() == "pause"
    assert queue.claim("other") is None
    lease.finish(Outcome("paused"))
    again = claimed(queue, "other")
    assert again.beat() is None
    assert jobs.events("proj_a", id).rows[0].message == "Fine-tuning job taken up again"


def test_what_was_paused_at_its_last_step_is_published_when_it_is_resumed(
    database: Database, jobs: Jobs, queue: Queue, settings: Settings
) -> None:
    id = made(database, jobs, "proj_a")
    validated(queue)
    lease = claimed(queue)
    jobs.pause("proj_a", id)
    outcome = Outcome("succeeded", model=settings.jobs / id / "adapter")
    lease.finish(outcome)
    assert jobs.get("proj_a", id).status == "paused"
    jobs.resume("proj_a", id)
    claimed(queue).finish(outcome)
    assert jobs.get("proj_a", id).status == "succeeded"


def result(folder: Path) -> Path:
    path = folder / "r.csv"
    path.write_text("step,train_loss\n1,0.5\n")
    return path


def test_all_that_came_of_a_job_is_there_when_it_has_succeeded(
    database: Database, jobs: Jobs, queue: Queue, settings: Settings, tmp_path: Path
) -> None:
    me = caller(database)
    id = jobs.create(me, new_job(suffix="mine")).id
    validated(queue)
    model = settings.jobs / id / "adapter"
    outcome = Outcome(
        "succeeded", trained_tokens=12, results={"step_metrics.csv": result(tmp_path)}, model=model
    )
    claimed(queue).finish(outcome)
    job = jobs.get("proj_a", id)
    name = f"ft:anvil:tunesmith:mine:{id.removeprefix('ftjob-')}"
    assert (job.status, job.trained_tokens, job.fine_tuned_model) == ("succeeded", 12, name)
    with database.read() as session:
        file = session.scalars(select(FileRow)).one()
        row = session.scalars(select(ModelRow)).one()
    assert (file.id, file.purpose) == (job.result_files[0], "fine-tune-results")
    assert (settings.blobs / file.blob).read_text() == result(tmp_path).read_text()
    assert (row.id, row.folder, row.project_id) == (name, f"jobs/{id}/adapter", "proj_a")
    said = [event.message for event in jobs.events("proj_a", id).rows][:5]
    assert said == [
        "The job has successfully completed",
        f"New fine-tuned model created: {name}",
        "Fine-tuning job started",
        "Files validated, moving job to queued state",
        "Validating training file: file-train",
    ]


def test_the_last_checkpoints_are_kept_and_older_ones_leave_nothing(
    database: Database, jobs: Jobs, queue: Queue, settings: Settings
) -> None:
    id = made(database, jobs, "proj_a")
    validated(queue)
    lease = claimed(queue)
    folders = [settings.jobs / id / f"ckpt-{step}" for step in range(1, 6)]
    for step, folder in enumerate(folders, start=1):
        folder.mkdir(parents=True)
        lease.checkpoint(step, {"train_loss": 1 / step}, folder)
    kept = jobs.checkpoints("proj_a", id).rows
    assert [row.step_number for row in kept] == [5, 4, 3]
    assert len(kept) == KEPT_CHECKPOINTS
    assert [folder.exists() for folder in folders] == [False, False, True, True, True]
    with database.read() as session:
        names = set(session.scalars(select(ModelRow.id)))
        assert names == set(session.scalars(select(CheckpointRow.model_id)))
    assert kept[0].model_id.endswith(f"{id.removeprefix('ftjob-')}:ckpt-step-5")
