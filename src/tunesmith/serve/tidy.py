"""What time makes superfluous: expired files, uploads never completed, bytes without a row, and
what jobs that came to nothing have left."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select

from tunesmith.serve.errors import ApiError
from tunesmith.serve.jobs.attempt import LOCK, locked
from tunesmith.serve.jobs.inputs import DATA
from tunesmith.serve.service import Service
from tunesmith.serve.store.tables import FileRow, JobRow, PartRow

EVERY = 600.0
"""Seconds between two rounds."""

_LEFT = (DATA, "run/checkpoints")

_log = logging.getLogger(__name__)


def tidy(service: Service) -> None:
    """One round. Raises ApiError 503 where the store cannot be reached."""
    service.uploads.expire()
    service.files.expire()
    with service.database.read() as session:
        kept = {*session.scalars(select(FileRow.blob)), *session.scalars(select(PartRow.blob))}
    service.blobs.sweep(kept)
    _let_go(service)


def _let_go(service: Service) -> None:
    """Of jobs that failed or were cancelled: their data, which may be a deleted file's last bytes,
    and what they would have gone on from. Epochs that can be asked, and what is told, stay."""
    with service.database.read() as session:
        ended = JobRow.status.in_(("failed", "cancelled"))
        jobs = session.scalars(select(JobRow.id).where(ended)).all()
    for folder in (service.settings.jobs / job for job in jobs):
        left = [each for each in _LEFT if (folder / each).is_dir()]
        if not left:
            continue
        with (folder / LOCK).open("w") as lock:
            if locked(lock.fileno()):  # else its worker has yet to hear of it
                for each in left:
                    shutil.rmtree(folder / each, ignore_errors=True)


@contextmanager
def tidying(service: Service) -> Iterator[None]:
    """A round at once, which removes what a killed server left, and more until the block ends."""
    stopping = threading.Event()
    thread = threading.Thread(target=_rounds, args=(service, stopping), name="tidy", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _rounds(service: Service, stopping: threading.Event) -> None:
    while True:
        try:
            tidy(service)
        except ApiError as refused:  # locked or full: the next round does it
            _log.warning("nothing was tidied up: %s", refused.message)
        if stopping.wait(EVERY):
            return
