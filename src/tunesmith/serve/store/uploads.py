"""Uploads: a file that comes in parts, which become its blob when all are there.

What is long, joining the parts, happens outside of any transaction; what was found before it is
found again in the one that ends the upload.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from tunesmith.serve.blobs import Blob, Blobs
from tunesmith.serve.disk import require_room
from tunesmith.serve.errors import ApiError, bad_request, conflict, not_found, too_large
from tunesmith.serve.ids import new_id
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.files import Files, NewFile
from tunesmith.serve.store.tables import FileRow, PartRow, UploadRow

LIFETIME = 3600
"""Seconds that a client has to send all parts."""


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What is announced."""

    bytes: int
    filename: str
    mime_type: str
    purpose: str
    file_expires_after: int | None = None


class Uploads:
    """The acts on uploads; each sees those of one project alone."""

    def __init__(self, database: Database, blobs: Blobs, files: Files, settings: Settings) -> None:
        self._database = database
        self._blobs = blobs
        self._files = files
        self._settings = settings

    def create(self, project: str, new: NewUpload) -> UploadRow:
        """Raises ApiError: 413 where it is too much, 503 where the disk has no room for it."""
        most = self._settings.limits.upload_bytes
        if new.bytes > most:
            raise too_large(f"bytes: at most {most} can be sent in parts.", param="bytes")
        require_room(self._settings, new.bytes)
        now = int(time.time())
        row = UploadRow(
            id=new_id("upload_"),
            project_id=project,
            filename=new.filename,
            mime_type=new.mime_type,
            purpose=new.purpose,
            bytes=new.bytes,
            status="pending",
            created_at=now,
            expires_at=now + LIFETIME,
            file_expires_after=new.file_expires_after,
        )
        with self._database.write() as session:
            self._files.make_sure_of_room(session, project, new.bytes)
            session.add(row)
        return row

    def require_pending(self, project: str, id: str) -> None:
        """Raises ApiError 404 and 409, before any bytes are taken."""
        with self._database.read() as session:
            _pending(session, project, id)

    def add_part(self, project: str, id: str, blob: Blob) -> PartRow:
        """Raises ApiError 400, 404, 409, and then nothing stays of the blob."""
        try:
            with self._database.write() as session:
                upload = _pending(session, project, id, lock=True)
                sent = session.scalar(_sent(id)) or 0
                if sent + blob.bytes > upload.bytes:
                    raise bad_request(
                        f"The parts of {id} would be {sent + blob.bytes} bytes together, and "
                        f"{upload.bytes} were announced.",
                        param="data",
                    )
                part = PartRow(
                    id=new_id("part_"),
                    upload_id=id,
                    bytes=blob.bytes,
                    blob=blob.name,
                    created_at=int(time.time()),
                )
                session.add(part)
            return part
        except BaseException:
            self._blobs.remove([blob.name])
            raise

    def complete(
        self, project: str, id: str, part_ids: Sequence[str], md5: str | None
    ) -> tuple[UploadRow, FileRow]:
        """The file of these parts, in this order. Raises ApiError 400, 404, 409, 413."""
        with self._database.read() as session:
            upload = _pending(session, project, id)
            parts = _named(session, upload, part_ids)
        blob = self._join(upload, parts, md5)
        new = NewFile(upload.filename, upload.purpose, blob, upload.file_expires_after)
        try:
            self._files.look(new)
            with self._database.write() as session:
                upload = _pending(session, project, id, lock=True)
                upload.status = "completed"  # its room is the file's from here on
                file = self._files.add(session, project, new)
                upload.file_id = file.id
                gone = _forget_parts(session, id)
        except BaseException:
            self._blobs.remove([blob.name])
            raise
        self._blobs.remove(gone)
        return upload, file

    def cancel(self, project: str, id: str) -> UploadRow:
        """Drop the parts. Raises ApiError 404, 409."""
        with self._database.write() as session:
            upload = _pending(session, project, id, lock=True)
            upload.status = "cancelled"
            gone = _forget_parts(session, id)
        self._blobs.remove(gone)
        return upload

    def expire(self, now: float | None = None) -> int:
        """Drop what was never completed; how many there were."""
        late = int(time.time() if now is None else now)
        due = select(UploadRow).where(UploadRow.status == "pending", UploadRow.expires_at <= late)
        gone: list[str] = []
        with self._database.write() as session:
            uploads = session.scalars(due).all()
            for upload in uploads:
                upload.status = "expired"
                gone += _forget_parts(session, upload.id)
        self._blobs.remove(gone)
        return len(uploads)

    def _join(self, upload: UploadRow, parts: Sequence[PartRow], md5: str | None) -> Blob:
        digest = hashlib.md5(usedforsecurity=False)
        try:
            blob = self._blobs.join([part.blob for part in parts], upload.bytes, digest)
        except FileNotFoundError:  # cancelled or completed since we looked
            raise _not_pending(upload.id, "not pending any more") from None
        if md5 is not None and digest.hexdigest() != md5.lower():
            self._blobs.remove([blob.name])
            raise bad_request(
                f"md5: the parts of {upload.id} have {digest.hexdigest()} in this order, not "
                f"{md5}. Send again what was damaged, or put them in order.",
                param="md5",
            )
        return blob


def _pending(session: Session, project: str, id: str, *, lock: bool = False) -> UploadRow:
    query = select(UploadRow).where(UploadRow.id == id, UploadRow.project_id == project)
    upload = session.scalar(query.with_for_update() if lock else query)
    if upload is None:
        raise not_found("upload", id)
    if upload.status != "pending":
        raise _not_pending(id, upload.status)
    if upload.expires_at <= time.time():
        raise _not_pending(id, "expired")
    return upload


def _not_pending(id: str, status: str) -> ApiError:
    return conflict(
        f"The upload {id} is {status}; make a new one to send the file again.",
        code="upload_not_pending",
    )


def _sent(upload: str) -> Select[int]:
    return select(func.sum(PartRow.bytes)).where(PartRow.upload_id == upload)


def _named(session: Session, upload: UploadRow, part_ids: Sequence[str]) -> list[PartRow]:
    """The parts in the order wanted. Raises ApiError 400 unless they are the whole file."""
    there = session.scalars(select(PartRow).where(PartRow.upload_id == upload.id)).all()
    by_id = {part.id: part for part in there}
    for id in part_ids:
        if id not in by_id:
            raise bad_request(f"part_ids: {upload.id} has no part {id}.", param="part_ids")
    if len(set(part_ids)) != len(part_ids):
        raise bad_request("part_ids: a part is named twice.", param="part_ids")
    parts = [by_id[id] for id in part_ids]
    sent = sum(part.bytes for part in parts)
    if sent != upload.bytes:
        raise bad_request(
            f"part_ids: these parts are {sent} bytes together, and {upload.bytes} were announced.",
            param="part_ids",
        )
    return parts


def _forget_parts(session: Session, upload: str) -> list[str]:
    blobs = session.scalars(select(PartRow.blob).where(PartRow.upload_id == upload)).all()
    session.execute(delete(PartRow).where(PartRow.upload_id == upload))
    return list(blobs)
