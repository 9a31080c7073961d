"""The token cache: tokenised data kept on disk, so that a second start need not make it again.

An entry is a folder named by the hash of all that its content follows from. It appears whole or not
at all: it is written under a temporary name, synced, and renamed. Two processes that write the same
entry each write their own, and the second one to end uses the first one's. What a killed process
left is known by its lock, which nobody holds, and removed. No pickle: tables of numbers and a JSON.

    ENTRY/rows, sequences, tokens, …    see `store`
    ENTRY/summary.json                  sizes and checksums of the tables, and the store's summary

An entry is used if sizes and checksums agree; the tokens, the long table, are checked sequence by
sequence as they are read, each by a checksum in the table of sequences.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tunesmith.core.files import read_json, write_json
from tunesmith.data.store import TABLES, Store, Summary

FORMAT = 10
"""Changes whenever the tables, the rendering or a check does, so that no old entry is used."""

LIMIT = 32 << 30
"""Bytes. Beyond it the entries that were used least recently go; the newest one always stays."""

_PARTIAL, _LOCK, _SUMMARY = ".partial-", "lock", "summary.json"
_YOUNG = 60.0
"""Seconds for which a draft is left alone, as its maker may not hold the lock yet."""


def key_of(parts: Mapping[str, Any]) -> str:
    """The name of an entry: the hash of what its content follows from, and of the format."""
    canonical = json.dumps([FORMAT, parts], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:40]


class TokenCache:
    """The entries in a folder."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder = folder
        self._limit = limit

    def find(self, key: str, paths: Sequence[str]) -> Store | None:
        """The store of an entry, if it is there and sound; a damaged one is removed."""
        entry = self.folder / key
        if not entry.is_dir():
            return None
        store = open_entry(entry, paths)
        if store is None:
            shutil.rmtree(entry, ignore_errors=True)
            return None
        with suppress(OSError):
            os.utime(entry / _SUMMARY)
        return store

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A folder to write an entry in; what is not published is gone at the end.

        Raises OSError where the cache cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=self.folder))
        try:
            with open(draft / _LOCK, "w", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def publish(self, draft: Path, key: str) -> None:
        """Give a sealed draft its name, unless another process was first; keep to the limit."""
        (draft / _LOCK).unlink()
        with suppress(OSError):  # the entry is there already
            os.rename(draft, self.folder / key)
        self._sweep(newest=key)

    def _sweep(self, newest: str) -> None:
        for draft in self.folder.glob(f"{_PARTIAL}*"):
            if _abandoned(draft):
                shutil.rmtree(draft, ignore_errors=True)
        room = self._limit - _bytes(self.folder / newest)
        for note in sorted(self.folder.glob(f"*/{_SUMMARY}"), key=_used, reverse=True):
            if note.parent.name != newest:
                room -= _bytes(note.parent)
                if room < 0:
                    shutil.rmtree(note.parent, ignore_errors=True)


def seal(draft: Path, summary: Summary) -> None:
    """Write down what the tables of a draft must be for the entry to be used."""
    body = {"tables": _sums(draft), "summary": summary.to_json()}
    write_json(draft / _SUMMARY, {"sha256": _hash(body), "body": body})


def open_entry(entry: Path, paths: Sequence[str]) -> Store | None:
    """The store in a folder, or None if it is not what was sealed."""
    try:
        note = read_json(entry / _SUMMARY)
        body = note["body"]
        if note["sha256"] != _hash(body) or body["tables"] != _sums(entry):
            return None
        return Store.on_disk(paths, entry, Summary.from_json(body["summary"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sums(folder: Path) -> dict[str, list[int]]:
    """Bytes of each table, and the CRC-32 of the short ones."""
    sums: dict[str, list[int]] = {}
    for name in TABLES:
        sums[name] = [(folder / name).stat().st_size]
        if name != "tokens":
            sums[name].append(_crc32(folder / name))
    return sums


def _crc32(path: Path) -> int:
    found = 0
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            found = zlib.crc32(block, found)
    return found


def _hash(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _abandoned(draft: Path) -> bool:
    """Whether nobody holds the lock of a draft that was not made just now."""
    with suppress(OSError):
        if time.time() - draft.stat().st_mtime < _YOUNG:
            return False
        with open(draft / _LOCK, "a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _used(note: Path) -> float:
    """When the entry was last opened; 0 if it is gone."""
    with suppress(OSError):
        return note.stat().st_mtime
    return 0.0


def _bytes(entry: Path) -> int:
    with suppress(OSError):
        return sum(file.stat().st_size for file in entry.iterdir())
    return 0
