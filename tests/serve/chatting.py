"""A server whose answers come from a fake engine, one for a module of tests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.serve.fake_engine import FakeEngine
from tests.serve.live import Live, serving
from tunesmith.runs.open import Run
from tunesmith.serve.chat.parts import open_engine
from tunesmith.serve.service import assemble
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import ModelRow, Table


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


@contextmanager
def served_by(home: Path, runs: Mapping[str, Run], **settings: Any) -> Iterator[Live]:
    """A server with models of the project "one", which lie beside its home or in it."""
    chosen = Settings(home=home, workers=0, **settings)
    home.mkdir(exist_ok=True)
    database = Database(chosen.database_url)
    Table.metadata.create_all(database.engine)
    engine = open_engine(chosen)
    service = assemble(chosen, database, engine)
    project = service.keys.create("one")[1].project_id
    with database.write() as session:
        session.add_all(_row(project, id, run, home) for id, run in runs.items())
    with serving(service) as live:
        yield live
    engine.close()
    database.close()


def _row(project: str, id: str, run: Run, home: Path) -> ModelRow:
    kinds = {"classify": "classifier", "embed": "embedder"}
    return ModelRow(
        id=id,
        project_id=project,
        job_id="ftjob-x",
        base=id.split(":")[1],
        kind=kinds.get(run.recipe.objective.kind, "chat"),
        folder=os.path.relpath(run.path, home),
        created_at=1,
    )
