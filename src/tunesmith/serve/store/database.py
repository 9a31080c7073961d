"""The database: SQLite in a file of the home, or PostgreSQL by URL.

SQLite is in WAL mode, so that who reads never waits for who writes; who means to write waits at
the beginning, where nothing has to be undone for it. What was written is on the disk when the
transaction ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from tunesmith.serve.errors import ApiError, unavailable

PATIENCE = 10.0
"""Seconds that a writer waits for others, each of which takes milliseconds."""


def sqlite_url(path: Path) -> str:
    """The URL of a database in a file."""
    return f"sqlite:///{path.absolute()}"


class Database:
    """Transactions over one engine; shared by threads, opened anew in each process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file that one writer at a time may change."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One consistent look; nothing is written. Raises ApiError 503."""
        with _refusals(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """All of it is kept, or, on an error, nothing. Raises ApiError 503.

        What was read comes detached out of it and can still be looked at.
        """
        with _refusals(), Session(self.engine, expire_on_commit=False) as session:
            session.connection(execution_options={"writes": True})
            yield session
            session.commit()

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the database refuses into a finished sentence."""
    try:
        yield
    except OperationalError as error:
        raise _refused(error) from error


def _refused(error: DBAPIError) -> ApiError:
    said = str(error.orig)
    if "disk is full" in said or "No space left" in said:
        return unavailable("The disk of this service is full; nothing was changed.", 30)
    if "locked" in said:
        return unavailable("The store is busy; nothing was changed. Try again.", 1)
    return unavailable("The store cannot be reached; nothing was changed. Try again.", 5)


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": PATIENCE, "isolation_level": None})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, record: Any) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
