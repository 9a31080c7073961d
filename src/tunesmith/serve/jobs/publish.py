"""What comes of a job and can be seen: result files, checkpoints, and the model.

Bytes are on the disk before the rows that name them; what a crash leaves between the two has no
row, and is written again when the job is taken up again.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from tunesmith.serve.blobs import Blob, Blobs
from tunesmith.serve.ids import new_id
from tunesmith.serve.jobs.work import Kind
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.tables import CheckpointRow, FileRow, JobRow, ModelRow

KEPT_CHECKPOINTS = 3
"""Of each job, the last ones, as the published interface has it."""


def fine_tuned_name(job: JobRow, organization: str) -> str:
    """What the model of a job is called: ft:{base}:{organization}:{suffix}:{job}."""
    return f"ft:{job.model}:{organization}:{job.suffix or ''}:{job.id.removeprefix('ftjob-')}"


def publish_model(
    session: Session, job: JobRow, settings: Settings, name: str, folder: Path, kind: Kind
) -> None:
    """From now on this can be asked under its name."""
    model = ModelRow(
        id=name,
        project_id=job.project_id,
        job_id=job.id,
        base=job.model,
        kind=kind,
        folder=str(folder.relative_to(settings.home)),
        created_at=int(time.time()),
    )
    session.add(model)


def store_results(settings: Settings, results: Mapping[str, Path]) -> list[tuple[str, Blob]]:
    """The bytes of result files, by the names they are to have. Raises ApiError 503."""
    blobs, encoded = Blobs(settings), b64encode if settings.results_base64 else bytes
    return [(name, blobs.keep(encoded(path.read_bytes()))) for name, path in results.items()]


def publish_results(session: Session, job: JobRow, files: Sequence[tuple[str, Blob]]) -> None:
    """Offer result files to the job's owner."""
    rows = [
        FileRow(
            id=new_id("file-"),
            project_id=job.project_id,
            filename=name,
            purpose="fine-tune-results",
            bytes=blob.bytes,
            sha256=blob.sha256,
            blob=blob.name,
            status="processed",
            created_at=int(time.time()),
        )
        for name, blob in files
    ]
    session.add_all(rows)
    job.result_files = [row.id for row in rows]


def keep_checkpoint(
    session: Session,
    job: JobRow,
    settings: Settings,
    step: int,
    metrics: Mapping[str, Any],
    folder: Path,
    kind: Kind,
) -> list[Path] | None:
    """Publish one; the folders of those that are too old now, and have no rows any more.

    None for a step that was published before, as happens when a job is taken up again.
    """
    name = f"{fine_tuned_name(job, settings.organization)}:ckpt-step-{step}"
    before = select(CheckpointRow).where(CheckpointRow.job_id == job.id)
    rows = list(session.scalars(before.order_by(CheckpointRow.step_number)))
    if rows and rows[-1].step_number >= step:
        return None
    checkpoint = CheckpointRow(
        id=new_id("ftckpt_"),
        job_id=job.id,
        model_id=name,
        step_number=step,
        metrics=dict(metrics),
        created_at=int(time.time()),
    )
    session.add(checkpoint)
    publish_model(session, job, settings, name, folder, kind)
    old = rows[: max(0, len(rows) + 1 - KEPT_CHECKPOINTS)]
    return [settings.home / _withdraw(session, row) for row in old]


def _withdraw(session: Session, checkpoint: CheckpointRow) -> str:
    """Take a checkpoint back; where its folder is, below the home."""
    model = session.scalars(select(ModelRow).where(ModelRow.id == checkpoint.model_id)).one()
    session.delete(checkpoint)
    session.delete(model)
    return model.folder
