"""The first thing that a run writes: its folder, with what was asked for and what became of it."""

from __future__ import annotations

from typing import Protocol

from tunesmith.core.files import write_json, write_texts
from tunesmith.data import Prepared
from tunesmith.recipe import Recipe, Resolved, dump
from tunesmith.runs.environment import environment
from tunesmith.runs.folder import RunFolder


class Begun(Protocol):
    """What every kind of run knows before it opens a model."""

    @property
    def resolved(self) -> Resolved: ...
    @property
    def recipe(self) -> Recipe: ...
    @property
    def prepared(self) -> Prepared: ...
    @property
    def inputs(self) -> dict[str, str]: ...


def begin(setup: Begun, folder: RunFolder) -> None:
    """Make the run folder: the first thing that a run writes."""
    with folder.begin() as draft:
        draft.recipe.write_text(dump(setup.resolved), encoding="utf-8")
        write_json(draft.environment, environment(setup.recipe.engine.seed, setup.inputs))
        write_json(draft.ledger, setup.prepared.account())
        write_texts(draft.ledger_rows, setup.prepared.ledger_texts())
