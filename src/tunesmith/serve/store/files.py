"""Files: their rows, and the blobs that these refer to."""

from __future__ import annotations

import codecs
import json
import time
from dataclasses import dataclass
from typing import BinaryIO

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from tunesmith.serve.blobs import Blob, Blobs
from tunesmith.serve.errors import ApiError, bad_request, conflict, not_found, too_large
from tunesmith.serve.ids import new_id
from tunesmith.serve.jobs.states import FINISHED
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.page import Page, cut, place_of
from tunesmith.serve.store.tables import FileRow, JobRow, UploadRow

_LOOKED_AT = 1 << 16


@dataclass(frozen=True, slots=True)
class NewFile:
    """What a file is to be; its bytes are on the disk already."""

    filename: str
    purpose: str
    blob: Blob
    expires_after: int | None = None


class Files:
    """The acts on files; each sees those of one project alone."""

    def __init__(self, database: Database, blobs: Blobs, settings: Settings) -> None:
        self._database = database
        self._blobs = blobs
        self._project_bytes = settings.limits.project_bytes

    def create(self, project: str, new: NewFile) -> FileRow:
        """Raises ApiError 400 and 413, and then nothing stays of the blob."""
        try:
            self.look(new)
            with self._database.write() as session:
                return self.add(session, project, new)
        except BaseException:
            self._blobs.remove([new.blob.name])
            raise

    def add(self, session: Session, project: str, new: NewFile) -> FileRow:
        """The row alone, in a transaction of somebody else's. Raises ApiError 413."""
        self.make_sure_of_room(session, project, new.blob.bytes)
        now = int(time.time())
        row = FileRow(
            id=new_id("file-"),
            project_id=project,
            filename=new.filename,
            purpose=new.purpose,
            bytes=new.blob.bytes,
            sha256=new.blob.sha256,
            blob=new.blob.name,
            status="processed",
            created_at=now,
            expires_at=None if new.expires_after is None else now + new.expires_after,
        )
        session.add(row)
        return row

    def get(self, project: str, id: str, *, param: str | None = None) -> FileRow:
        """Raises ApiError 404."""
        with self._database.read() as session:
            return _found(session.scalar(_there(project).where(FileRow.id == id)), id, param)

    def open(self, project: str, id: str) -> tuple[FileRow, BinaryIO]:
        """The row and its bytes. Raises ApiError 404."""
        row = self.get(project, id)
        try:
            return row, self._blobs.open(row.blob)
        except FileNotFoundError:  # deleted since we looked
            raise not_found("file", id) from None

    def page(
        self, project: str, after: str | None, limit: int, *, purpose: str | None, ascending: bool
    ) -> Page[FileRow]:
        """Raises ApiError 400 where `after` names no file, past or present."""
        rows = _there(project)
        if purpose is not None:
            rows = rows.where(FileRow.purpose == purpose)
        ever = select(FileRow).where(FileRow.project_id == project)
        with self._database.read() as session:
            place = place_of(session, ever, FileRow, after)
            return cut(session, rows, FileRow, place, limit, ascending=ascending)

    def delete(self, project: str, id: str) -> None:
        """Raises ApiError: 404, and 409 while a job that is not finished needs the file."""
        with self._database.write() as session:
            row = _found(session.scalar(_there(project).where(FileRow.id == id)), id, None)
            _require_unneeded(session, project, id)
            blob = _forget(row)
        self._blobs.remove([blob])

    def expire(self, now: float | None = None) -> int:
        """Delete what is past its time and needed by no job; how many there were."""
        due = select(FileRow).where(
            FileRow.deleted_at.is_(None),
            FileRow.expires_at <= int(time.time() if now is None else now),
        )
        with self._database.write() as session:
            blobs = [
                _forget(row)
                for row in session.scalars(due)
                if _needed_by(session, row.project_id, row.id) is None
            ]
        self._blobs.remove(blobs)
        return len(blobs)

    def look(self, new: NewFile) -> None:
        """Raises ApiError 400 where the bytes cannot be what the purpose needs."""
        if new.purpose != "fine-tune":
            return
        with self._blobs.open(new.blob.name) as source:
            check_lines(source.read(_LOOKED_AT))

    def make_sure_of_room(self, session: Session, project: str, coming: int) -> None:
        """Raises ApiError 413 where the project would have more than it may, what uploads that are
        not complete have announced included."""
        there = FileRow.project_id == project, FileRow.deleted_at.is_(None)
        pending = UploadRow.project_id == project, UploadRow.status == "pending"
        stored = session.scalar(select(func.sum(FileRow.bytes)).where(*there)) or 0
        announced = session.scalar(select(func.sum(UploadRow.bytes)).where(*pending)) or 0
        if int(stored) + int(announced) + coming > self._project_bytes:
            raise too_large(
                f"This project would have more than {self._project_bytes} bytes of files, the most "
                "it may. Delete files that are not needed any more, and cancel uploads that will "
                "not be completed."
            )


def check_lines(head: bytes) -> None:
    """A cheap look at the beginning of training data: that it is JSON lines at all.

    What is wrong in single lines is the job's matter, which names them. Raises ApiError 400.
    """
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        raise _no_lines("it is not UTF-8 text") from None
    start = text.lstrip()
    if not start:
        raise _no_lines("it is empty" if not head else "it begins with blank space alone")
    if start[0] != "{":
        raise _no_lines(f"it begins with {start[0]!r} and not with '{{'")


def _no_lines(why: str) -> ApiError:
    return bad_request(
        "A file to train on must be JSON lines: a JSON object on each line, in UTF-8. This is "
        f"none: {why}.",
        param="file",
        code="invalid_file_format",
    )


def _there(project: str) -> Select[FileRow]:
    return select(FileRow).where(FileRow.project_id == project, FileRow.deleted_at.is_(None))


def _found(row: FileRow | None, id: str, param: str | None) -> FileRow:
    if row is None:
        raise not_found("file", id, param=param)
    return row


def _require_unneeded(session: Session, project: str, id: str) -> None:
    job = _needed_by(session, project, id)
    if job is not None:
        raise conflict(
            f"{id} is needed by the job {job}, which is not finished. Cancel the job, or wait for "
            "it, and delete the file then.",
            code="file_in_use",
        )


def _needed_by(session: Session, project: str, id: str) -> str | None:
    """The job that is not finished and names the file, wherever in its request it does."""
    jobs = select(JobRow).where(JobRow.project_id == project, JobRow.status.not_in(FINISHED))
    return next((job.id for job in session.scalars(jobs) if id in json.dumps(job.asked)), None)


def _forget(row: FileRow) -> str:
    """What stays is that the file was there: a list goes on behind it while it is emptied."""
    blob = row.blob
    row.deleted_at = int(time.time())
    row.filename, row.sha256, row.blob = "", "", ""
    return blob
