"""Uploaded bytes on the disk: a file a blob, under a name that nobody chose.

    BLOBS/ab3f…          complete, on the disk, never changed again
    BLOBS/ab3f….partial  being written, and locked by who writes it: one that nobody has locked was
                         left by a process that died

A blob is known by a row alone. It is written before its row, and its row goes before it does, so
what a crash leaves is a blob without a row, which `sweep` removes, and never a row without one.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from tunesmith.serve.disk import RETRY_AFTER, require_room
from tunesmith.serve.errors import ApiError, too_large, unavailable
from tunesmith.serve.settings import Settings

_PARTIAL = ".partial"
_PIECE = 1 << 20
_LOOK_EVERY = 16 << 20
"""Bytes after which it is looked again how much room the disk has."""
ABANDONED = 3600.0
"""Seconds after which a complete blob without a row is not about to get one any more."""


class Digest(Protocol):
    """What hashlib gives."""

    def update(self, data: bytes, /) -> None:
        """Take these bytes in."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that are complete and on the disk."""

    name: str
    bytes: int
    sha256: str


class Blobs:
    """The folder of them. Shared by threads and processes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.blobs

    def begin(self, limit: int, coming: int = 0) -> Incoming:
        """A blob to be written, of at most `limit` bytes, of which `coming` were announced.

        Raises ApiError 413 where more was announced, 503 where the disk has no room.
        """
        if coming > limit:
            raise _over(limit)
        require_room(self._settings, coming)
        self._folder.mkdir(parents=True, exist_ok=True)
        return Incoming(self._settings, limit)

    def path(self, name: str) -> Path:
        """Where the bytes are."""
        return self._folder / name

    def open(self, name: str) -> BinaryIO:
        """The bytes, to be read; they stay readable when they are removed meanwhile."""
        return self.path(name).open("rb")

    def join(self, names: Iterable[str], limit: int, digest: Digest | None = None) -> Blob:
        """One blob of several, in their order; `digest` is fed with what is in it."""
        with self.begin(limit) as incoming:
            for name in names:
                with self.open(name) as source:
                    _pour(source, incoming, digest)
            return incoming.finish()

    def keep(self, content: bytes) -> Blob:
        """Bytes that were made here. Raises ApiError 503."""
        with self.begin(len(content)) as incoming:
            incoming.write(content)
            return incoming.finish()

    def remove(self, names: Iterable[str]) -> None:
        """Remove blobs whose rows are gone."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def sweep(self, kept: Collection[str], now: float | None = None) -> int:
        """Remove what no row refers to and nobody is writing; how many there were.

        `kept` are the names that rows had before this was called.
        """
        before = (time.time() if now is None else now) - ABANDONED
        found = list(self._folder.iterdir()) if self._folder.is_dir() else []
        left = [path for path in found if path.name not in kept and _is_left(path, before)]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)


class Incoming:
    """A blob that is being written; left without `finish`, nothing of it stays."""

    def __init__(self, settings: Settings, limit: int) -> None:
        self.bytes = 0
        self._settings = settings
        self._limit = limit
        self._sha256 = hashlib.sha256()
        self._path = settings.blobs / secrets.token_hex(16)
        self._partial = self._path.with_suffix(_PARTIAL)
        self._file = self._partial.open("xb")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, piece: bytes) -> None:
        """Raises ApiError: 413 over the limit, 503 where the disk is full."""
        if self.bytes + len(piece) > self._limit:
            raise _over(self._limit)
        if self.bytes // _LOOK_EVERY != (self.bytes + len(piece)) // _LOOK_EVERY:
            require_room(self._settings)
        try:
            self._file.write(piece)
        except OSError as error:
            raise _told(error) from error
        self._sha256.update(piece)
        self.bytes += len(piece)

    def finish(self) -> Blob:
        """On the disk under its name, or not at all. Raises ApiError 503."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.rename(self._path)
            _sync(self._path.parent)
        except OSError as error:
            raise _told(error) from error
        return Blob(self._path.name, self.bytes, self._sha256.hexdigest())

    def close(self) -> None:
        """Drop what is not finished."""
        try:
            self._file.close()
        except OSError:
            pass  # a full disk cannot take what was still in the buffer
        finally:
            self._partial.unlink(missing_ok=True)


def _pour(source: BinaryIO, incoming: Incoming, digest: Digest | None) -> None:
    while piece := source.read(_PIECE):
        incoming.write(piece)
        if digest is not None:
            digest.update(piece)


def _is_left(path: Path, before: float) -> bool:
    try:
        if path.suffix != _PARTIAL:
            return path.stat().st_mtime < before
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):  # finished or removed meanwhile, or being written
        return False
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _over(limit: int) -> ApiError:
    return too_large(
        f"The file is larger than {limit} bytes, the most this service takes at once. "
        "Send larger ones in parts (POST /v1/uploads), or ask the operator for more.",
        param="file",
    )


def _told(error: OSError) -> ApiError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return unavailable(
        f"The {'disk of this service is full' if full else 'bytes could not be written'}; nothing "
        "was kept.",
        RETRY_AFTER,
        code="insufficient_storage",
    )
