"""Whether all is as it should be after things went wrong: each job ended once, and as it should."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping

from sqlalchemy import select

from tunesmith.serve.blobs import Blobs
from tunesmith.serve.jobs.states import FINISHED
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import FileRow, JobEventRow, JobRow, ModelRow

ENDS = {
    "succeeded": "The job has successfully completed",
    "cancelled": "Fine-tuning job cancelled",
}


def statuses(database: Database) -> dict[str, str]:
    """Of every job that there is."""
    with database.read() as session:
        return {row.id: row.status for row in session.scalars(select(JobRow))}


def all_ended(database: Database) -> bool:
    """Whether no job has anything left to be done."""
    return set(statuses(database).values()) <= FINISHED


def some_run(database: Database) -> bool:
    """Whether a worker trains."""
    return "running" in statuses(database).values()


def faults(database: Database, settings: Settings, expected: Mapping[str, str]) -> list[str]:
    """What is wrong, a sentence each. `expected` is the right end of every job."""
    found = [
        f"{id} is {status}, and should be {expected.get(id, 'not there')}"
        for id, status in statuses(database).items()
        if expected.get(id) != status
    ]
    found += [f"{id} is lost" for id in expected if id not in statuses(database)]
    with database.read() as session:
        jobs = list(session.scalars(select(JobRow)))
        events = session.scalars(select(JobEventRow))
        told = Counter((event.job_id, event.message) for event in events)
        models = Counter(session.scalars(select(ModelRow.id)))
        files = {file.id: file for file in session.scalars(select(FileRow))}
    for job in jobs:
        found += _of_one(job, told, models, files, settings)
    return found


def _of_one(
    job: JobRow,
    told: Mapping[tuple[str, str], int],
    models: Mapping[str, int],
    files: Mapping[str, FileRow],
    settings: Settings,
) -> Iterator[str]:
    for status, message in ENDS.items():
        if told.get((job.id, message), 0) != (job.status == status):
            yield f"{job.id} is {job.status}, and says so {told.get((job.id, message), 0)} times"
    if job.lease_owner is not None:
        yield f"{job.id} has ended, and is still held by {job.lease_owner}"
    made = job.status == "succeeded"
    if made != (job.fine_tuned_model is not None and models.get(job.fine_tuned_model) == 1):
        yield f"{job.id} is {job.status}, with the model {job.fine_tuned_model}"
    if made != bool(job.result_files):
        yield f"{job.id} is {job.status}, with {len(job.result_files)} result files"
    for id in job.result_files:
        content = Blobs(settings).path(files[id].blob).read_bytes()
        if hashlib.sha256(content).hexdigest() != files[id].sha256:
            yield f"the file {id} of {job.id} is not what it was"
