"""A service over an empty home, and clients of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tunesmith.serve.app import build
from tunesmith.serve.caller import Caller
from tunesmith.serve.service import Service, assemble
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import Table


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a service whose home is new."""
    return Settings(home=tmp_path / "home", workers=0)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """Its tables, empty."""
    settings.home.mkdir()
    database = Database(settings.database_url)
    Table.metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def service(settings: Settings, database: Database) -> Service:
    """Its parts."""
    return assemble(settings, database)


@pytest.fixture
def key(service: Service) -> str:
    """A key of the project "one" that may do everything."""
    return service.keys.create("one")[0]


@pytest.fixture
def caller(service: Service, key: str) -> Caller:
    """Who `key` belongs to."""
    row = service.keys.all()[0].key
    return Caller(row.project_id, row.id, frozenset(row.scopes))


@pytest.fixture
def client(service: Service, key: str) -> Iterator[TestClient]:
    """Calls the application with `key`; an error inside it is the test's own."""
    with TestClient(build(service), headers={"authorization": f"Bearer {key}"}) as client:
        yield client
