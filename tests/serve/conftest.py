"""A service over an empty home, in SQLite or in PostgreSQL, and clients of it.

Every test runs with SQLite; those marked `stores` with PostgreSQL, too, where it is installed; with
`--database postgres` or `--database both` all do that. A test module is marked so:
`pytestmark = pytest.mark.stores`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from tests.serve import postgres
from tests.serve.live import Live, serving
from tests.serve.postgres import Postgres
from tunesmith.serve.app import build
from tunesmith.serve.caller import Caller
from tunesmith.serve.service import Service, assemble
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import Table

if TYPE_CHECKING:
    from tunesmith.runs.open import Run


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Which databases a test runs with."""
    if "store" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.getoption("database")
    if chosen == "chosen":
        marked = metafunc.definition.get_closest_marker("stores") is not None
        chosen = "both" if marked and postgres.programs() else "sqlite"
    if chosen != "sqlite":
        kinds = ["sqlite", "postgres"] if chosen == "both" else ["postgres"]
        metafunc.parametrize("store", kinds, indirect=True)


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """A PostgreSQL server, with the database `made` in which all tables are."""
    if request.config.getoption("database") == "sqlite":
        pytest.skip("asked for SQLite alone")
    programs = postgres.programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed: apt-get install postgresql")
    with postgres.running(programs) as server:
        server.execute("CREATE DATABASE made")
        made = Database(server.url("made"))
        Table.metadata.create_all(made.engine)
        made.close()
        yield server


@pytest.fixture
def store(request: pytest.FixtureRequest) -> str | None:
    """What `Settings.database` is to be: None for SQLite, or the URL of a database of its own."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return None
    server: Postgres = request.getfixturevalue("server")
    return server.fresh(like="made")


@pytest.fixture
def settings(tmp_path: Path, store: str | None) -> Settings:
    """Of a service whose home is new."""
    return Settings(home=tmp_path / "home", workers=0, database=store)


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


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[dict[str, Live], ExitStack]]:
    """The servers that run, by the kind of their database."""
    with ExitStack() as stack:
        yield {}, stack


@pytest.fixture
def live(
    servers: tuple[dict[str, Live], ExitStack],
    store: str | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Live]:
    """A real server on a loopback port, one for all tests: each takes a project of its own."""
    running, stack = servers
    kind = "postgres" if store else "sqlite"
    if kind not in running:
        settings = Settings(home=tmp_path_factory.mktemp(kind), workers=0, database=store)
        database = Database(settings.database_url)
        stack.callback(database.close)
        Table.metadata.create_all(database.engine)
        running[kind] = stack.enter_context(serving(assemble(settings, database)))
    yield running[kind]
    running[kind].close_clients()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Finished runs, to be asked and not changed; all in one folder."""
    from tests.serve.trained import three_runs

    return three_runs(tmp_path_factory.mktemp("trained"))
