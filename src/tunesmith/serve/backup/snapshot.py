"""The tables as they were at one moment, and the files that they refer to."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine, inspect, make_url, select, text
from sqlalchemy.orm import Session

from tunesmith.core.errors import InputError, StorageError
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database, sqlite_url
from tunesmith.serve.store.tables import FileRow, ModelRow, PartRow, UploadRow

SQLITE, POSTGRES = "tunesmith.db", "tunesmith.dump"
"""What the tables are called in a backup."""


def snapshot(database: Database, settings: Settings, scratch: Path) -> set[str]:
    """Writes the tables into `scratch`; returns the paths below the home that they refer to.

    Raises StorageError.
    """
    path = scratch / name_of(database)
    path.unlink(missing_ok=True)
    if database.is_sqlite:
        with closing(sqlite3.connect(str(database.engine.url.database))) as source:
            source.execute("VACUUM INTO ?", (str(path),))
        return _of_copy(path, settings)
    with database.read() as session:  # of one moment, which pg_dump is given
        moment = session.scalar(text("SELECT pg_export_snapshot()"))
        options = ["--format=custom", f"--snapshot={moment}", f"--file={path}"]
        _run("pg_dump", database.url, [*options, "--no-owner", "--no-privileges"])
        return _references(session, settings)


def _of_copy(path: Path, settings: Settings) -> set[str]:
    engine = create_engine(sqlite_url(path))
    with Session(engine) as session:
        wanted = _references(session, settings)
    engine.dispose()
    return wanted


def references(database: Database, settings: Settings) -> set[str]:
    """The paths below the home that the tables refer to now."""
    with database.read() as session:
        return _references(session, settings)


def put_back(folder: Path, database: Database) -> None:
    """The tables of PostgreSQL from a backup into an empty database. Raises StorageError,
    InputError."""
    if inspect(database.engine).get_table_names():
        raise InputError(
            "The database is not empty; nothing was changed. Give the URL of an empty one."
        )
    options = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    _run("pg_restore", database.url, [*options, str(folder / POSTGRES)])
    (folder / POSTGRES).unlink()


def name_of(database: Database) -> str:
    """What its tables are called in a backup."""
    return SQLITE if database.is_sqlite else POSTGRES


def _references(session: Session, settings: Settings) -> set[str]:
    blobs = settings.blobs.relative_to(settings.home)
    files = select(FileRow.blob).where(FileRow.deleted_at.is_(None))
    parts = select(PartRow.blob).join(UploadRow).where(UploadRow.status == "pending")
    models = select(ModelRow.folder).where(ModelRow.deleted_at.is_(None))
    named = {str(blobs / blob) for query in (files, parts) for blob in session.scalars(query)}
    return named | set(session.scalars(models))


def _run(program: str, url: str, options: list[str]) -> None:
    found = shutil.which(program)
    if found is None:
        raise StorageError(
            f"The program {program} was not found. Install the client programs of PostgreSQL, of "
            "the server's version or newer."
        )
    address = make_url(url).set(drivername="postgresql")
    # The password is not among the arguments, which every user of the machine can read.
    secret = {"PGPASSWORD": address.password} if address.password else {}
    plain = address.set(password=None).render_as_string()
    done = subprocess.run(
        [found, f"--dbname={plain}", *options],
        env={**os.environ, **{name: str(value) for name, value in secret.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise StorageError(f"{program} ended with {done.returncode}: {said:.500}")
