"""Transactions: all or nothing, one writer at a time, and readers that never wait."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import select

from tunesmith.serve.errors import ApiError
from tunesmith.serve.store import database as module
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import ProjectRow


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


def test_a_file_of_the_store_is_in_wal_mode_and_keeps_its_references(database: Database) -> None:
    with database.read() as session:
        assert session.connection().exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert session.connection().exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    assert sqlite3.sqlite_version_info >= (3, 35)
