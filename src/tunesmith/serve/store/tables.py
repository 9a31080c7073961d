"""Every table of the service.

`seq` gives the order in which things were made, and is what lists are cut by; `id` is the name that
clients know. Times are Unix seconds: whole where the interface shows them, with a fraction where a
lease depends on them. All that a client can own names its project.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.schema import MetaData

_Number = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up in SQLite


class Table(DeclarativeBase):
    """Names of constraints are given, so that migrations can name them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON, int: BigInteger, float: Float}  # noqa: RUF012


class ProjectRow(Table):
    """Whoever owns things together. Nothing is visible across projects."""

    __tablename__ = "projects"
    seq: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(128), unique=True)
    created_at: Mapped[int]


class KeyRow(Table):
    """A key, of which only the hash is kept; `shown` are its first letters, to tell it by.

    Jobs that are made with it have its `priority`.
    """

    __tablename__ = "keys"
    seq: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    project_id: Mapped[str] = mapped_column(ForeignKey(ProjectRow.id), index=True)
    name: Mapped[str] = mapped_column(String(128))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    shown: Mapped[str] = mapped_column(String(32))
    scopes: Mapped[list[str]]
    priority: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[int]
    expires_at: Mapped[int | None]
    revoked_at: Mapped[int | None]


class FileRow(Table):
    """A file whose bytes are the blob `blob`. `filename` is what the client called it: a text.

    Of a deleted one stays an empty row, behind which a list can go on.
    """

    __tablename__ = "files"
    seq: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    project_id: Mapped[str] = mapped_column(ForeignKey(ProjectRow.id), index=True)
    filename: Mapped[str] = mapped_column(String(512))
    purpose: Mapped[str] = mapped_column(String(32))
    bytes: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    blob: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    status_details: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[int]
    expires_at: Mapped[int | None] = mapped_column(index=True)
    deleted_at: Mapped[int | None]


class UploadRow(Table):
    """A file that comes in parts. `bytes` is what was announced."""

    __tablename__ = "uploads"
    seq: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    project_id: Mapped[str] = mapped_column(ForeignKey(ProjectRow.id), index=True)
    filename: Mapped[str] = mapped_column(String(512))
    mime_type: Mapped[str] = mapped_column(String(128))
    purpose: Mapped[str] = mapped_column(String(32))
    bytes: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[int]
    expires_at: Mapped[int] = mapped_column(index=True)
    file_expires_after: Mapped[int | None]
    file_id: Mapped[str | None] = mapped_column(String(64))


class PartRow(Table):
    """One part of an upload."""

    __tablename__ = "upload_parts"
    seq: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    upload_id: Mapped[str] = mapped_column(ForeignKey(UploadRow.id), index=True)
    bytes: Mapped[int]
    blob: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[int]


class JobRow(Table):
    """A fine-tuning job.

    `asked` is the request as it came, `method` and `hyperparameters` are those with what `auto` has
    become. `status` changes by the moves of `jobs.states` alone. `wanted` is "pause" as long as the
    worker of a paused job has not given way. A job belongs to `lease_owner` until `lease_until`;
    after that anyone may take it up. Without an owner it rests until then. `attempts` counts how
    often it was interrupted since it last came further. A higher `priority` goes first.
    `claimed_at` is when a worker last took it: whose jobs were served longest ago are next.
    """

    __tablename__ = "jobs"
    seq: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    project_id: Mapped[str] = mapped_column(ForeignKey(ProjectRow.id), index=True)
    key_id: Mapped[str] = mapped_column(String(64), index=True)
    model: Mapped[str] = mapped_column(String(256))
    training_file: Mapped[str] = mapped_column(String(64))
    validation_file: Mapped[str | None] = mapped_column(String(64))
    suffix: Mapped[str | None] = mapped_column(String(64))
    seed: Mapped[int]
    asked: Mapped[dict[str, Any]]
    method: Mapped[dict[str, Any]]
    hyperparameters: Mapped[dict[str, Any]]
    labels: Mapped[dict[str, Any] | None]
    """The client's `metadata`; what lists are filtered by stands in JobLabelRow, too."""
    status: Mapped[str] = mapped_column(String(24), index=True)
    wanted: Mapped[str | None] = mapped_column(String(16))
    priority: Mapped[int]
    attempts: Mapped[int]
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[float | None] = mapped_column(index=True)
    claimed_at: Mapped[float | None]
    created_at: Mapped[int]
    started_at: Mapped[int | None]
    finished_at: Mapped[int | None]
    estimated_finish: Mapped[int | None]
    trained_tokens: Mapped[int | None]
    fine_tuned_model: Mapped[str | None] = mapped_column(String(256))
    result_files: Mapped[list[str]]
    error: Mapped[dict[str, Any] | None]

    __table_args__ = (
        Index("ix_jobs_queue", "status", "priority", "seq"),
        Index("ix_jobs_served", "project_id", "key_id", "claimed_at"),
    )


class JobLabelRow(Table):
    """One pair of a job's labels, so that lists can be filtered by it on every database."""

    __tablename__ = "job_labels"
    job_seq: Mapped[int] = mapped_column(ForeignKey(JobRow.seq), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(512))


class JobEventRow(Table):
    """Something that happened to a job."""

    __tablename__ = "job_events"
    seq: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    job_id: Mapped[str] = mapped_column(ForeignKey(JobRow.id), index=True)
    created_at: Mapped[int]
    level: Mapped[str] = mapped_column(String(8))
    type: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any] | None]


class CheckpointRow(Table):
    """A state of a job's model that can be asked like any other, under `model_id`."""

    __tablename__ = "job_checkpoints"
    seq: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    job_id: Mapped[str] = mapped_column(ForeignKey(JobRow.id), index=True)
    model_id: Mapped[str] = mapped_column(String(256), unique=True)
    step_number: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    created_at: Mapped[int]


class ModelRow(Table):
    """A model that was made here. `folder`, below the home, is one that `runs.open.open_run` takes;
    `kind` says what can be asked of it: "chat", "classifier", "embedder" or "image"."""

    __tablename__ = "models"
    seq: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[str] = mapped_column(String(256), unique=True)
    project_id: Mapped[str] = mapped_column(ForeignKey(ProjectRow.id), index=True)
    job_id: Mapped[str] = mapped_column(String(64), index=True)
    base: Mapped[str] = mapped_column(String(256))
    kind: Mapped[str] = mapped_column(String(16))
    folder: Mapped[str] = mapped_column(String(512))
    created_at: Mapped[int]
    deleted_at: Mapped[int | None]


class PermissionRow(Table):
    """That another project may ask a checkpoint or a model."""

    __tablename__ = "checkpoint_permissions"
    seq: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    model_id: Mapped[str] = mapped_column(String(256), index=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey(ProjectRow.id))
    project_id: Mapped[str] = mapped_column(String(64), index=True)
    created_at: Mapped[int]


class WebhookRow(Table):
    """Where a project wants to be told; `secret` signs what is sent, so it must be kept. After a
    change of secret, `old_secret` signs beside it until `old_until`."""

    __tablename__ = "webhooks"
    seq: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    project_id: Mapped[str] = mapped_column(ForeignKey(ProjectRow.id), index=True)
    name: Mapped[str] = mapped_column(String(256))
    url: Mapped[str] = mapped_column(String(2048))
    secret: Mapped[str] = mapped_column(String(128))
    old_secret: Mapped[str | None] = mapped_column(String(128))
    old_until: Mapped[int | None]
    events: Mapped[list[str]]
    created_at: Mapped[int]
    updated_at: Mapped[int]


class DeliveryRow(Table):
    """One message to one webhook: written with what it tells of, sent afterwards, tried again."""

    __tablename__ = "webhook_deliveries"
    seq: Mapped[int] = mapped_column(_Number, primary_key=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey(WebhookRow.id), index=True)
    body: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int]
    due_at: Mapped[float | None] = mapped_column(index=True)
    """None once it is done with."""
    delivered_at: Mapped[int | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[int]


class AuditRow(Table):
    """Who did what to which object, without any contents."""

    __tablename__ = "audit"
    seq: Mapped[int] = mapped_column(_Number, primary_key=True)
    created_at: Mapped[int]
    request_id: Mapped[str] = mapped_column(String(64))
    project_id: Mapped[str | None] = mapped_column(String(64), index=True)
    key_id: Mapped[str | None] = mapped_column(String(64))
    act: Mapped[str] = mapped_column(String(64))
    object_id: Mapped[str | None] = mapped_column(String(256))
    status: Mapped[int]
