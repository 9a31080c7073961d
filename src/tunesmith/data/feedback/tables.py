"""The tables of judgements, and the SQLite file that holds them.

The file is in WAL mode: who reads never waits for who writes, and a process that is killed leaves
all that was written before. What was added is on the disk when `writing` ends.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tunesmith.core.errors import DataError, StorageError, TunesmithError

VERSION = 1
"""Of the tables. A store says in itself which it has."""

PATIENCE = 60.0
"""Seconds that a writer waits for others, each of which takes milliseconds."""

_TABLES = MetaData()

STORE = Table("feedback_store", _TABLES, Column("version", Integer, nullable=False))

FEEDBACK = Table(
    "feedback",
    _TABLES,
    Column("number", Integer, primary_key=True),  # in the order in which they came
    Column("id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("prompt", Text, nullable=False),  # JSON: a text, or messages
    Column("said", Text, nullable=False),  # which is preferred, liked or not, the corrected answer
    Column("person", String, nullable=False, index=True),
    Column("time", String, nullable=False, index=True),
)

ANSWERS = Table(
    "feedback_answers",
    _TABLES,
    Column("feedback", ForeignKey(FEEDBACK.c.id), primary_key=True),
    Column("place", Integer, primary_key=True),  # 1 for the first that was shown
    Column("text", Text, nullable=False),
    Column("model", String, nullable=False, index=True),
    Column("version", String, nullable=False),
    Column("sampling", Text, nullable=False),  # a JSON object
)

_Sentence = tuple[str, type[TunesmithError], str]

_REFUSALS: tuple[_Sentence, ...] = (
    (
        "not a database",
        DataError,
        "{path} is no feedback store: it is not a database. Name another file with --store.",
    ),
    (
        "malformed",
        DataError,
        "{path} is damaged: {error}. Put back a copy of it, or name a new file with --store.",
    ),
    (
        "disk is full",
        StorageError,
        "The disk is full: this could not be added to {path}, which is whole without it. Free "
        "some space, then do it again.",
    ),
    (
        "readonly",
        StorageError,
        "{path} cannot be written: it, or its folder, is read-only. Copy it to a folder that you "
        "may write to, and name the copy with --store.",
    ),
    (
        "locked",
        StorageError,
        "{path} could not be written: another process has held it for a minute. End that process, "
        "then do it again.",
    ),
    (
        "unable to open",
        StorageError,
        "{path} cannot be opened: it must be a file that you may read and write, in a folder that "
        "you may write to. Copy it to such a place, or name another with --store.",
    ),
)


def opened(path: Path) -> Engine:
    """The store in a file that exists.

    Raises DataError if it is something else, or of a later version; StorageError.
    """
    engine = _engine(path)
    with refusals(path), engine.connect() as connection:
        if not inspect(connection).has_table(STORE.name):
            raise DataError(
                f"{path} is a database, but no feedback store. Name another file with --store."
            )
        version = connection.execute(select(STORE.c.version)).scalar_one()
    if version != VERSION:
        raise DataError(
            f"{path} is a feedback store of version {version}, and this tunesmith reads version "
            f"{VERSION}. Use the tunesmith that wrote it, or a newer one."
        )
    return engine


def create(path: Path) -> None:
    """Make an empty store, which appears whole, and only if there is none yet."""
    draft = path.with_name(f".partial-{uuid4().hex}-{path.name}")
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(_connection(draft, "rwc")) as empty:
                empty.execute("PRAGMA journal_mode = WAL")  # stays so
            with _engine(draft).begin() as connection:
                _TABLES.create_all(connection)
                connection.execute(STORE.insert().values(version=VERSION))
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was faster
        finally:
            for beside in ("", "-wal", "-shm"):
                draft.with_name(draft.name + beside).unlink(missing_ok=True)


@contextmanager
def writing(engine: Engine, path: Path) -> Iterator[Connection]:
    """A transaction alone with the store: all of it is kept, or, on an error, nothing."""
    with refusals(path), engine.execution_options(alone=True).begin() as connection:
        yield connection


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn what the database refuses into a finished sentence."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        said = str(error.orig if isinstance(error, DBAPIError) else error)
        for mark, kind, sentence in _REFUSALS:
            if mark in said:
                raise kind(sentence.format(path=path, error=said)) from error
        raise StorageError(f"{path} could not be read or written ({said}).") from error
    except OSError as error:
        raise StorageError(
            f"{path} cannot be made ({error.strerror or error}). Name a file in a folder that you "
            "may write to with --store."
        ) from error


def _engine(path: Path) -> Engine:
    """Connections are opened when they are needed, so a store need not be closed."""
    engine = create_engine("sqlite://", creator=lambda: _connection(path, "rw"), poolclass=NullPool)
    event.listen(engine, "begin", _begin)
    return engine


def _connection(path: Path, mode: str) -> sqlite3.Connection:
    """`mode` "rw" opens a file, "rwc" makes one."""
    where = f"{path.absolute().as_uri()}?mode={mode}"
    # Transactions are begun by `_begin`: the driver's own begin too late to be alone.
    return sqlite3.connect(where, uri=True, timeout=PATIENCE, isolation_level=None)


def _begin(connection: Connection) -> None:
    """Who means to write waits at the beginning, where nothing has to be undone for it."""
    alone = connection.get_execution_options().get("alone", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if alone else "BEGIN")
