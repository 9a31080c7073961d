"""The tables of an older version become those of this one, whenever a store is opened.

All steps are one transaction, in which this process is the only writer: of several that start at
once one does the work, and the others find it done; a step that fails leaves the store as it was.

A change of `tables.py` needs a new step. This writes one by comparing, for you to look at:

    python -m tunesmith.serve.store.migrate "what changes"
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from tunesmith.core.errors import InputError, StorageError
from tunesmith.serve.errors import ApiError
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database, sqlite_url

STEPS = Path(__file__).parent / "migrations"


def open_store(settings: Settings, steps: Path = STEPS) -> Database:
    """The store of this service, with the tables of this version; a new one where there is none.

    Raises StorageError, and InputError where a newer version has written it.
    """
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.database_url)
    try:
        upgrade(database, steps)
    except (ApiError, DBAPIError) as error:
        database.close()
        raise StorageError(f"The store cannot be opened: {_said(error)}.") from error
    except BaseException:
        database.close()
        raise
    return database


def upgrade(database: Database, steps: Path = STEPS) -> None:
    """Take the steps that this store lacks; none where it lacks none."""
    config = _config(steps)
    if _version(database) == ScriptDirectory.from_config(config).get_current_head():
        return
    with _alone(database) as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            if "locate revision" not in str(error):
                raise
            raise InputError(
                "The store was written by a newer version of tunesmith, which this one cannot "
                "read; nothing was changed. Install that version, or restore a backup."
            ) from error


def _version(database: Database) -> str | None:
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """A transaction in which nobody else writes."""
    with database.engine.connect().execution_options(writes=True) as connection:
        if not database.is_sqlite:
            with connection.begin():
                yield connection
            return
        _references(connection, "OFF")  # SQLite changes a table by writing it anew
        try:
            with connection.begin():
                yield connection
                if connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise StorageError(
                        "A step would break references of the store; none was taken."
                    )
        finally:
            _references(connection, "ON")


def _references(connection: Connection, state: str) -> None:
    """Below SQLAlchemy, because within a transaction, which it would begin, this does nothing."""
    raw = connection.connection.driver_connection
    assert raw is not None
    raw.execute(f"PRAGMA foreign_keys = {state}").close()


def _config(steps: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(steps).replace("%", "%%"))
    return config


def _said(error: ApiError | DBAPIError) -> str:
    if isinstance(error, ApiError):
        return error.message.rstrip(".")
    return str(error.orig).strip().rstrip(".")


def write_step(what: str, steps: Path = STEPS) -> None:
    """A new step: from what the steps until now make to what `tables.py` says."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(sqlite_url(Path(folder) / "tables.db"))
        upgrade(database, steps)
        with database.engine.connect() as connection:
            config = _config(steps)
            config.attributes["connection"] = connection
            known = list(ScriptDirectory.from_config(config).walk_revisions())
            command.revision(config, what, autogenerate=True, rev_id=f"{len(known) + 1:04}")
        database.close()


if __name__ == "__main__":
    write_step(sys.argv[1])
