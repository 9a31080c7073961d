"""A service over an empty home."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
