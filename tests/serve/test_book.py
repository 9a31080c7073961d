"""Jobs as their owners see them: made within limits, found by labels, steered by legal moves."""

from __future__ import annotations

import pytest

from tests.serve.jobbing import caller, new_job
from tunesmith.serve import disk
from tunesmith.serve.errors import ApiError
from tunesmith.serve.jobs.book import Jobs
from tunesmith.serve.settings import Limits, Settings
from tunesmith.serve.store.database import Database


@pytest.fixture
def jobs(database: Database, settings: Settings) -> Jobs:
    return Jobs(database, settings.model_copy(update={"min_free_bytes": 1}))


def messages(jobs: Jobs, id: str) -> list[str]:
    return [event.message for event in jobs.events("proj_a", id, limit=100).rows]


def test_a_new_job_waits_for_its_files_and_says_so(database: Database, jobs: Jobs) -> None:
    job = jobs.create(caller(database), new_job(validation_file="file-valid"))
    assert jobs.get("proj_a", job.id).status == "validating_files"
    assert messages(jobs, job.id) == [
        "Validating training file: file-train and validation file: file-valid",
        f"Created fine-tuning job: {job.id}",
    ]


def test_each_job_is_listed_once_while_others_are_made(database: Database, jobs: Jobs) -> None:
    me = caller(database)
    made = [jobs.create(me, new_job()).id for _ in range(5)]
    seen: list[str] = []
    after, more = None, True
    while more:
        page = jobs.page("proj_a", after, 2)
        seen += [job.id for job in page.rows]
        after, more = seen[-1], page.has_more
        jobs.create(me, new_job())
    assert seen == made[::-1]


def test_a_list_behind_what_is_not_in_it_is_refused(database: Database, jobs: Jobs) -> None:
    theirs = jobs.create(caller(database, "proj_b"), new_job())
    jobs.create(caller(database), new_job())
    with pytest.raises(ApiError, match="there is no") as refused:
        jobs.page("proj_a", theirs.id)
    assert (refused.value.status, refused.value.param) == (400, "after")


def test_jobs_are_found_by_all_of_the_labels(database: Database, jobs: Jobs) -> None:
    me = caller(database)
    hostile = {"\"'] $.x%": "ü'\" --"}
    jobs.create(me, new_job())
    one = jobs.create(me, new_job(labels={"team": "x", **hostile}))
    two = jobs.create(me, new_job(labels={"team": "x"}))
    found = [
        [job.id for job in jobs.page("proj_a", labels=labels).rows]
        for labels in ({"team": "x"}, hostile, {"team": "x", **hostile}, {"team": "y"})
    ]
    assert found == [[two.id, one.id], [one.id], [one.id], []]
    assert len(jobs.page("proj_a", unlabelled=True).rows) == 1


def test_other_projects_see_nothing_and_learn_nothing(database: Database, jobs: Jobs) -> None:
    job = jobs.create(caller(database), new_job())
    acts = (jobs.get, jobs.cancel, jobs.pause, jobs.resume, jobs.events, jobs.checkpoints)
    for act in acts:
        refusals = []
        for id in (job.id, "ftjob-none"):
            with pytest.raises(ApiError) as refused:
                act("proj_b", id)
            refusals.append(refused.value.body()["error"]["message"].replace(id, "ID"))
        assert refusals[0] == refusals[1] == "No such fine-tuning job: ID"
    assert jobs.page("proj_b").rows == ()


def test_what_is_cancelled_stays_so_and_clients_need_not_try_again(
    database: Database, jobs: Jobs
) -> None:
    job = jobs.create(caller(database), new_job())
    cancelled = jobs.cancel("proj_a", job.id)
    assert (cancelled.status, cancelled.finished_at is None) == ("cancelled", False)
    before = messages(jobs, job.id)
    for act in (jobs.cancel, jobs.pause, jobs.resume):
        with pytest.raises(ApiError) as refused:
            act("proj_a", job.id)
        assert refused.value.status == 409
        assert refused.value.headers() == {"x-should-retry": "false"}
    assert messages(jobs, job.id) == before
    assert before[0] == "Fine-tuning job cancelled"


def test_what_is_paused_waits_again_once_it_is_resumed(database: Database, jobs: Jobs) -> None:
    job = jobs.create(caller(database), new_job())
    assert jobs.pause("proj_a", job.id).status == "paused"
    assert jobs.resume("proj_a", job.id).status == "queued"
    with pytest.raises(ApiError, match="only a paused one"):
        jobs.resume("proj_a", job.id)


def test_a_project_has_only_so_many_jobs_that_are_not_finished(
    database: Database, settings: Settings
) -> None:
    limits = Limits(jobs_waiting=2)
    jobs = Jobs(database, settings.model_copy(update={"min_free_bytes": 1, "limits": limits}))
    me = caller(database)
    first = jobs.create(me, new_job())
    jobs.create(me, new_job())
    with pytest.raises(ApiError, match="at most 2") as refused:
        jobs.create(me, new_job())
    assert refused.value.status == 429
    jobs.create(caller(database, "proj_b"), new_job())
    jobs.cancel("proj_a", first.id)
    jobs.create(me, new_job())


def test_no_job_begins_where_the_disk_is_nearly_full(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "free_bytes", lambda home: settings.min_free_bytes - 1)
    jobs, me = Jobs(database, settings), caller(database)
    with pytest.raises(ApiError, match="nearly full") as refused:
        jobs.create(me, new_job())
    assert refused.value.status == 503
    assert jobs.page("proj_a").rows == ()
