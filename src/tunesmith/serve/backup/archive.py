"""A backup as a file: a tar, whose last member lists all others with their sizes and hashes.

What is written twice, because it changed meanwhile, counts as it came last. Nothing is unpacked
outside the folder that is given, and a file that was cut off or changed is noticed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from tunesmith.core.errors import InputError, StorageError
from tunesmith.core.version import VERSION

LIST = "backup.json"
_FORMAT = 1
_IN_MEMORY = 16 << 20
"""Files up to so many bytes may still be written to while they are read."""

Entry = dict[str, int | str]


class Writer:
    """Takes files in, in any order, and the list at the end."""

    def __init__(self, target: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self.entries: dict[str, Entry] = {}
        self._seen: dict[str, tuple[int, int]] = {}

    def has(self, name: str, path: Path) -> bool:
        """Whether the file as it is now has been taken in before."""
        return self._seen.get(name) == _state(path.stat())

    def add(self, name: str, path: Path) -> None:
        """Take a file in. Raises FileNotFoundError if it is gone, StorageError if it shrinks."""
        with path.open("rb") as source:
            status = os.fstat(source.fileno())
            if status.st_size <= _IN_MEMORY:
                content = source.read()
                self._put(name, io.BytesIO(content), len(content), status.st_mtime)
            else:
                self._put(name, source, status.st_size, status.st_mtime)
        self._seen[name] = _state(status)

    def finish(self) -> None:
        """Write the list."""
        listed = {"format": _FORMAT, "tunesmith": VERSION, "files": self.entries}
        content = json.dumps({**listed, "made_at": int(time.time())}).encode()
        self._put(LIST, io.BytesIO(content), len(content), time.time())
        self._tar.close()

    def _put(self, name: str, source: IO[bytes], size: int, moment: float) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = size, int(moment), 0o600
        hashed = _Hashed(source)
        try:
            self._tar.addfile(member, hashed)
        except OSError as error:
            raise StorageError(f"The file {name} could not be backed up: {error}.") from error
        if name != LIST:
            self.entries[name] = {"bytes": size, "sha256": hashed.digest.hexdigest()}


class _Hashed(io.RawIOBase):
    """Bytes on their way, with their hash."""

    def __init__(self, source: IO[bytes]) -> None:
        self.digest = hashlib.sha256()
        self._source = source

    def read(self, size: int = -1) -> bytes:
        piece = self._source.read(size)
        self.digest.update(piece)
        return piece


def unpack(source: Path, folder: Path) -> Mapping[str, Entry]:
    """All files of a backup, each as its list says. Raises InputError."""
    found: dict[str, Entry] = {}
    listed: Mapping[str, object] = {}
    try:
        with tarfile.open(source, mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    raise InputError(f"{source} is no backup: {member.name} is no plain file.")
                if member.name == LIST:
                    listed = json.loads(content.read(1 << 30))
                else:
                    found[member.name] = _write(content, folder / _inside(member.name, source))
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise InputError(f"{source} is no backup, or it is damaged: {error}.") from error
    if not isinstance(listed, Mapping) or listed.get("format") != _FORMAT:
        raise InputError(f"{source} was cut off, or was made by another version of tunesmith.")
    if listed["files"] != found:
        raise InputError(f"{source} is damaged: {_differing(listed['files'], found)}.")
    return found


def _inside(name: str, source: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{source} is no backup of tunesmith: {name} leads out of the home.")
    return path


def _write(content: IO[bytes], path: Path) -> Entry:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    hashed, size = hashlib.sha256(), 0
    with path.open("wb") as target:
        while piece := content.read(1 << 20):
            hashed.update(piece)
            size += target.write(piece)
    path.chmod(0o600)
    return {"bytes": size, "sha256": hashed.hexdigest()}


def _differing(listed: object, found: Mapping[str, Entry]) -> str:
    wanted = listed if isinstance(listed, Mapping) else {}
    names = sorted(set(wanted) ^ set(found)) or sorted(n for n in found if wanted[n] != found[n])
    return f"{names[0]} is not what was backed up"


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def is_plain(path: Path) -> bool:
    """A file, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False
