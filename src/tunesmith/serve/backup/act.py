"""Backup while the server runs, and restore into an empty home.

Bytes are written before their rows and removed after them. So what the tables refer to before all
files are read, and still refer to afterwards, was there all the while. Where they do not refer to
it any more, there is another round, which reads what has changed since and is short; the last one
takes the turn of a writer, so that nothing can be deleted meanwhile.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from tunesmith.core.errors import InputError, StorageError
from tunesmith.serve.backup.archive import Writer, is_plain, unpack
from tunesmith.serve.backup.snapshot import POSTGRES, name_of, put_back, references, snapshot
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database

_ROUNDS = 3
"""So often without holding anyone up."""
_LEFT_OUT = ("tunesmith.db", "tunesmith.db-wal", "tunesmith.db-shm", "serve.lock")


@dataclass(frozen=True, slots=True)
class Backed:
    """What a backup holds; `missing` is what the tables refer to and is not in the home."""

    files: int
    bytes: int
    missing: tuple[str, ...] = ()


def backup(database: Database, settings: Settings, out: Path) -> Backed:
    """The whole state in one new file; none is there unless it is complete.

    Raises InputError, StorageError.
    """
    if out.exists():
        raise InputError(f"{out} exists, and no backup is written over. Give another name.")
    if out.resolve().is_relative_to(settings.home.resolve()):
        raise InputError("A backup cannot lie in the home that it is of. Give another --out.")
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=out.parent) as folder:
            scratch = Path(folder)
            made = _write(database, settings, scratch)
            (scratch / "made").rename(out)
    except (OSError, sqlite3.Error, DBAPIError) as error:
        said = getattr(error, "orig", None) or error
        raise StorageError(f"The backup could not be written: {said}. None was made.") from error
    return made


def restore(source: Path, settings: Settings) -> Backed:
    """A home as it was backed up; nothing of it is there unless all of it is as it was.

    Raises InputError, StorageError.
    """
    home = settings.home
    if not source.is_file():
        raise InputError(f"{source} is not there. Give a file that `tunesmith backup` wrote.")
    if home.exists() and any(home.iterdir()):
        raise InputError(
            f"The home {home} is not empty, and nothing is written over. Give another."
        )
    home.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=home.parent) as folder:
            ready = Path(folder) / "home"
            ready.mkdir(mode=0o700)
            found = unpack(source, ready)
            if (POSTGRES in found) != (settings.database is not None):
                raise InputError(_wrong_database(POSTGRES in found))
            if settings.database is not None:
                with closing(Database(settings.database)) as database:
                    put_back(ready, database)
            ready.replace(home)
    except OSError as error:
        raise StorageError(f"The backup could not be restored: {error}.") from error
    return Backed(len(found), sum(int(entry["bytes"]) for entry in found.values()))


def _write(database: Database, settings: Settings, scratch: Path) -> Backed:
    with os.fdopen(os.open(scratch / "made", os.O_CREAT | os.O_WRONLY, 0o600), "wb") as target:
        writer = Writer(target)
        wanted = _read_all(writer, database, settings, scratch)
        writer.add(name_of(database), scratch / name_of(database))
        writer.finish()
        target.flush()
        os.fsync(target.fileno())
    size = sum(int(entry["bytes"]) for entry in writer.entries.values())
    return Backed(len(writer.entries), size, tuple(sorted(wanted - _there(writer))))


def _read_all(writer: Writer, database: Database, settings: Settings, scratch: Path) -> set[str]:
    """All files, and in `scratch` the tables, which refer to the paths that are returned."""
    for _ in range(_ROUNDS):
        wanted = snapshot(database, settings, scratch)
        _take_in(writer, settings.home)
        if wanted <= references(database, settings):
            return wanted
    with database.write():  # no row is deleted meanwhile, so no bytes are; little is left to read
        wanted = snapshot(database, settings, scratch)
        _take_in(writer, settings.home)
    return wanted


def _take_in(writer: Writer, home: Path) -> None:
    """Every file that is there and was not taken in before as it is now."""
    for path in _files(home):
        name = path.relative_to(home).as_posix()
        try:
            if not writer.has(name, path):
                writer.add(name, path)
        except FileNotFoundError:
            continue  # removed meanwhile: whether it was needed is seen by the tables


def _files(home: Path) -> Iterator[Path]:
    """The deepest first: checkpoints before the metrics, which may run ahead of them."""
    for folder, _, names in os.walk(home, topdown=False):
        for name in sorted(names):
            path = Path(folder) / name
            if name not in _LEFT_OUT and path.suffix != ".partial" and is_plain(path):
                yield path


def _there(writer: Writer) -> set[str]:
    """The files of the backup, and the folders that they are in."""
    folders = {parent.as_posix() for name in writer.entries for parent in Path(name).parents}
    return folders | set(writer.entries)


def _wrong_database(is_postgres: bool) -> str:
    if is_postgres:
        return "The backup is of a service with PostgreSQL: give --database, an empty one's URL."
    return "The backup is of a service with SQLite: its tables go into the home, not --database."
