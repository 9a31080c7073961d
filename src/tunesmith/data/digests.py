"""SHA-256 of files, remembered while nothing about a file says that it was written to.

To hash gigabytes at each start would cost seconds. A remembered digest holds as long as size, inode
and both times of the file (to the nanosecond) are what they were when it was hashed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from tunesmith.core.errors import StorageError
from tunesmith.core.files import sha256, write_json

WORTH = 256 << 20
"""Bytes from which a digest is remembered. A smaller file is hashed in less than half a second."""

_SETTLED = 2.0
"""Seconds. A file changed less long ago is not remembered: it may change again within the same tick
of its file system's clock."""

_KEPT = 1000


def cache_folder() -> Path:
    """TUNESMITH_CACHE, else the folder `tunesmith` in the user's cache directory."""
    if named := os.environ.get("TUNESMITH_CACHE"):
        return Path(named)
    above = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(above) / "tunesmith"


def identity(path: Path) -> list[int]:
    """What changes when the file is written to or replaced."""
    found = path.stat()
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def digest(path: Path) -> str:
    """The SHA-256 of a file (hexadecimal), remembered in the cache if it is large."""
    before = identity(path)
    if path.stat().st_size < WORTH:
        return sha256(path)
    folder = cache_folder() / "digests"
    note = folder / f"{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["identity"] == before:
            return str(known["sha256"])
    found = sha256(path)
    newest = max(before[-2:]) / 1e9
    if identity(path) == before and time.time() - newest > _SETTLED:
        with suppress(OSError, StorageError):
            folder.mkdir(parents=True, exist_ok=True)
            write_json(note, {"identity": before, "sha256": found})
            _forget_oldest(folder)
    return found


def _forget_oldest(folder: Path) -> None:
    notes = sorted(folder.glob("*.json"), key=lambda note: note.stat().st_mtime)
    for note in notes[:-_KEPT]:
        note.unlink(missing_ok=True)
