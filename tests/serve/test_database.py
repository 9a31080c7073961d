"""Transactions: all or nothing, one writer at a time, and readers that never wait."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, text

from tests.serve.postgres import Postgres
from tunesmith.serve.errors import ApiError
from tunesmith.serve.store import database as module
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import ProjectRow

pytestmark = pytest.mark.stores


def project(name: str) -> ProjectRow:
    return ProjectRow(id=f"proj_{name}", name=name, created_at=1)


def names(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(ProjectRow.name).order_by(ProjectRow.seq)))


def write_and_fail(database: Database) -> None:
    with database.write() as session:
        session.add(project("two"))
        session.flush()
        raise ZeroDivisionError


def test_what_was_written_is_there_and_what_failed_is_not(database: Database) -> None:
    with database.write() as session:
        session.add(project("one"))
    with pytest.raises(ZeroDivisionError):
        write_and_fail(database)
    assert names(database) == ["one"]


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    with database.write() as session:
        session.add(project("one"))
        session.flush()
        assert names(database) == []
    assert names(database) == ["one"]


def test_a_locked_store_is_a_refusal_that_may_be_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    impatient = Database(database.url)
    with database.write() as session:
        session.add(project("one"))
        session.flush()
        with pytest.raises(ApiError) as refused, impatient.write():
            pass
    assert refused.value.status == 503
    assert refused.value.headers()["x-should-retry"] == "true"
    impatient.close()


def test_what_was_read_still_holds_when_it_is_written(database: Database) -> None:
    """Of writers that each add one to what they read, none undoes another's."""

    def add_one(_: int) -> None:
        with database.write() as session:
            count = session.scalar(select(func.count()).select_from(ProjectRow)) or 0
            session.add(project(f"number {count}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(24)))
    assert names(database) == [f"number {n}" for n in range(24)]


def test_a_look_is_at_one_moment(database: Database) -> None:
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(ProjectRow)) == 0
        with database.write() as other:
            other.add(project("one"))
        assert session.scalar(select(func.count()).select_from(ProjectRow)) == 0
    assert names(database) == ["one"]


def test_a_store_that_went_away_is_a_refusal_that_may_be_tried_again(
    server: Postgres,
) -> None:
    database = Database(server.fresh())

    def lose() -> None:
        with database.write() as session:
            name = session.connection().engine.url.database
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
            session.execute(text("SELECT 1"))

    for _ in range(2):
        with pytest.raises(ApiError, match="cannot be reached") as refused:
            lose()
        assert refused.value.status == 503
    database.close()


def test_a_file_of_the_store_is_in_wal_mode_and_keeps_its_references(database: Database) -> None:
    if not database.is_sqlite:
        pytest.skip("of SQLite alone")
    with database.read() as session:
        assert session.connection().exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert session.connection().exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    assert sqlite3.sqlite_version_info >= (3, 35)
