"""What time makes superfluous: expired files, uploads never completed, bytes without a row."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select

from tunesmith.serve.errors import ApiError
from tunesmith.serve.service import Service
from tunesmith.serve.store.tables import FileRow, PartRow

EVERY = 600.0
"""Seconds between two rounds."""

_log = logging.getLogger(__name__)


def tidy(service: Service) -> None:
    """One round. Raises ApiError 503 where the store cannot be reached."""
    service.uploads.expire()
    service.files.expire()
    with service.database.read() as session:
        kept = {*session.scalars(select(FileRow.blob)), *session.scalars(select(PartRow.blob))}
    service.blobs.sweep(kept)


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
