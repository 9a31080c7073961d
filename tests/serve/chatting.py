"""A server whose answers come from a fake engine, one for a module of tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.serve.fake_engine import FakeEngine
from tests.serve.live import Live, serving
from tunesmith.serve.service import assemble
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import Table


@contextmanager
def chatting(home: Path, **settings: Any) -> Iterator[tuple[Live, FakeEngine]]:
    """The server, and what writes its answers."""
    chosen = Settings(home=home, workers=0, **settings)
    database = Database(chosen.database_url)
    Table.metadata.create_all(database.engine)
    engine = FakeEngine()
    with serving(assemble(chosen, database, engine)) as live:
        yield live, engine
    database.close()
