"""The home of a service: the one folder in which all of its state lies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from tunesmith.core.errors import InputError
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.migrate import open_store


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database of this home; both are made where they are not there yet.

    Raises:
        InputError: the home cannot be made or written, or the URL of the database means none.
        StorageError: the database cannot be reached.
    """
    with _for_its_owner_alone():
        yield from _opened(settings)


@contextmanager
def _for_its_owner_alone() -> Iterator[None]:
    """What this process, and its workers, write meanwhile nobody else may read."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _opened(settings: Settings) -> Iterator[Database]:
    make(settings.home)
    try:
        database = open_store(settings)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise InputError(
            f"The database of the settings is none that can be used ({_short(error)}). Give a URL "
            "such as postgresql+psycopg://user@host/name, or leave it out for a file in the home."
        ) from None
    try:
        yield database
    finally:
        database.close()


@contextmanager
def existing(settings: Settings) -> Iterator[Database]:
    """As `opened`, for what only looks: nothing is made where no service has been.

    Raises:
        InputError: no service has been there, or it cannot be opened.
        StorageError: the database cannot be reached.
    """
    if settings.database is None and not settings.database_file.is_file():
        raise InputError(
            f"There is no service in {settings.home}. Name the folder of yours with --home, or its "
            "database with --database; `tunesmith serve` makes a new one."
        )
    with opened(settings) as database:
        yield database


def make(home: Path) -> None:
    """The folder, for its owner alone: keys' hashes, files and models lie in it."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The home {home} cannot be made ({error.strerror}).") from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise InputError(
            f"The home {home} cannot be written by this user. Give another with --home, or give "
            "this one to the user that runs the service."
        )


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """For as long as the block runs, no other server works on this home.

    Raises:
        InputError: one does.
    """
    with (home / "serve.lock").open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"Another server works on the home {home}. Stop it first, or give another home "
                "with --home."
            ) from None
        yield


def _short(error: Exception) -> str:
    """The first line of what is wrong."""
    return str(error).strip().partition("\n")[0].rstrip(".")
