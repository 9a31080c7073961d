"""The database: SQLite in a file of the home, or PostgreSQL by URL.

SQLite is in WAL mode, so that who reads never waits for who writes; who means to write waits at
the beginning, where nothing has to be undone for it. What was written is on the disk when the
transaction ends. PostgreSQL is used in the same way: a reader sees one moment, and writers, whose
work takes milliseconds, take turns by a lock of the database. So what a transaction has read and
decided upon still holds when it writes, on either.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnection
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
    except ProgrammingError as error:  # so PostgreSQL tells of tables that are not there
        if not _says(error, _FOREIGN):
            raise
        raise _refused(error) from error
    except NoConnection as error:
        raise unavailable(_BUSY, 1) from error


_BUSY = "The store is busy; nothing was changed. Try again."
_FULL = frozenset({"disk is full", "No space left", "53100"})
_TAKEN = frozenset({"locked", "55P03", "40P01", "40001", "53300"})
"""What SQLite says, and the codes of PostgreSQL: no lock, a deadlock, a change that another's
contradicts, no connection left."""
_FOREIGN = frozenset({"no such table", "no such column", "42P01", "42703"})


def _says(error: DBAPIError, signs: frozenset[str]) -> bool:
    said = f"{getattr(error.orig, 'sqlstate', None)} {error.orig}"
    return any(sign in said for sign in signs)


def _refused(error: DBAPIError) -> ApiError:
    if _says(error, _FULL):
        return unavailable("The disk of this service is full; nothing was changed.", 30)
    if _says(error, _TAKEN):
        return unavailable(_BUSY, 1)
    if _says(error, _FOREIGN):
        return unavailable("The tables of the store are not those of this service.", 60)
    return unavailable("The store cannot be reached; nothing was changed. Try again.", 5)


_OPTIONS: dict[str, Any] = {"pool_size": 8, "max_overflow": 56, "hide_parameters": True}
"""More connections than a server has threads, so that none waits for one; and no error quotes what
was to be stored."""


def _engine(url: str) -> Engine:
    return _sqlite(url) if url.startswith("sqlite") else _postgres(url)


def _sqlite(url: str) -> Engine:
    connect = {"timeout": PATIENCE, "isolation_level": None}
    engine = create_engine(url, connect_args=connect, pool_timeout=PATIENCE, **_OPTIONS)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, record: Any) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


_TURN = 7_466_108_105_273_118
"""The lock of PostgreSQL that a writer holds: a number that nothing else in the database uses."""


def _postgres(url: str) -> Engine:
    address = make_url(url).set(drivername="postgresql+psycopg")
    connect = {"connect_timeout": 5, "options": f"-c lock_timeout={PATIENCE * 1000:.0f}"}
    engine = create_engine(
        address, connect_args=connect, pool_timeout=PATIENCE, pool_pre_ping=True, **_OPTIONS
    )
    event.listen(engine, "begin", _begin_postgres)
    return engine


def _begin_postgres(connection: Connection) -> None:
    if _writes(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TURN})")
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("writes", False))
