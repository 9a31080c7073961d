"""A bigger local model that is learned from, and what it is worth itself."""

from __future__ import annotations

from tunesmith.core.files import read_json, write_json
from tunesmith.core.ports import Watcher
from tunesmith.evaluate.measure import Baseline
from tunesmith.models.open import Base, open_base
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.measuring import Material, measured_on
from tunesmith.runs.setup import Setup


def open_teacher(setup: Setup, watcher: Watcher) -> Base | None:
    """The teacher with frozen weights, on the student's device; None where the recipe names none.

    Raises ModelError if it cannot be opened.
    """
    if setup.teacher is None:
        return None
    watcher.stage("teacher", f"open {setup.teacher.name}")
    base = open_base(setup.teacher, setup.recipe.model.dtype, setup.recipe.model.device)
    base.model.requires_grad_(False)
    return base


def measure_teacher(teacher: Base, setup: Setup, folder: RunFolder) -> Baseline:
    """What the teacher itself can do; measured once and kept for a resumed run."""
    if folder.teacher.exists():
        return Baseline.from_json(read_json(folder.teacher))
    name, held_out = teacher.described.name, setup.held_out
    material = Material(held_out.judging, held_out.prompts, setup.check, probes=(), samples=())
    side = measured_on(teacher, setup.renderer, setup.recipe, material)
    found = Baseline("teacher", f"the teacher {name}", side)
    write_json(folder.teacher, found.to_json())
    return found
