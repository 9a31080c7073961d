"""What the tests of jobs share: a project with a key, and a request that was found to be good."""

from __future__ import annotations

from typing import Any

from tunesmith.serve.caller import SCOPES, Caller
from tunesmith.serve.jobs.book import NewJob
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import ProjectRow


def caller(database: Database, project: str = "proj_a", key: str = "key_a") -> Caller:
    """A key of a project, which is made if it is not there."""
    with database.write() as session:
        if not session.query(ProjectRow).filter_by(id=project).count():
            session.add(ProjectRow(id=project, name=project, created_at=1))
    return Caller(project, key, frozenset(SCOPES))


def new_job(**given: Any) -> NewJob:
    """A request with only what is required; `asked` is what it says beside."""
    hyperparameters = {"n_epochs": "auto"}
    required: dict[str, Any] = {
        "model": "anvil",
        "training_file": "file-train",
        "seed": 7,
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
        "hyperparameters": hyperparameters,
    }
    named = {name: {**required, **given}.get(name) for name in ("model", "training_file")}
    return NewJob(**{**required, **given, "asked": {**named, **given.get("asked", {})}})


class Clock:
    """A time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now
