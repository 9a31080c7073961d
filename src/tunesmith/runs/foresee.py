"""The act `plan`: what a run would take, and nothing written."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tunesmith.core.ports import Silent, Watcher
from tunesmith.recipe import Recipe
from tunesmith.runs.assembly import batches_of, objective_of, opened, settings_of, tell_data
from tunesmith.runs.images.plan import foresee_images
from tunesmith.runs.images.setup import ImageSetup
from tunesmith.runs.kinds import set_up_any
from tunesmith.runs.labels.plan import foresee_labels
from tunesmith.runs.labels.setup import LabelSetup
from tunesmith.runs.plan import make_plan
from tunesmith.runs.planned import Plan
from tunesmith.runs.reinforce.setup import ReinforceSetup
from tunesmith.runs.reinforce.train import foresee_reinforced


def foresee(recipe: Recipe, watcher: Watcher | None = None) -> Plan:
    """The plan that a run of this recipe would begin with. Writes nothing.

    Raises:
        InputError: something cannot be used, or the run would not fit into memory.
    """
    watcher = watcher or Silent()
    watcher.stage("data", "read, check, split")
    setup = set_up_any(recipe)
    tell_data(setup, watcher)
    if isinstance(setup, LabelSetup):
        return foresee_labels(setup, watcher)
    if isinstance(setup, ImageSetup):
        return foresee_images(setup, watcher)
    if isinstance(setup, ReinforceSetup):
        return foresee_reinforced(setup, watcher)
    began = time.perf_counter()
    tuned = opened(setup, watcher)
    settings = settings_of(setup.recipe, batches_of(setup, share=tuned.shares))
    watcher.stage("plan", "compute a few micro-batches")
    opening = time.perf_counter() - began
    _, planned = make_plan(
        setup,
        tuned,
        settings,
        batches_of,
        opening=opening,
        folder=Path(tempfile.gettempdir()),
        objective=objective_of(setup.recipe, tuned),
    )
    return planned
