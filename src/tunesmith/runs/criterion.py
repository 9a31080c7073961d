"""By what the weights to keep are chosen while a model that writes is trained."""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.core.ports import Objective
from tunesmith.data.lay_compared import References
from tunesmith.models.methods import Tuned
from tunesmith.recipe import PREFERENCES
from tunesmith.runs.assembly import laying
from tunesmith.runs.preferences.criterion import HeldOutLoss
from tunesmith.runs.preferences.objective import looked_at
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.setup import Setup
from tunesmith.runs.trunk import Paths


def criterion_of(
    setup: Setup,
    tuned: Tuned,
    paths: Paths,
    objective: Objective,
    references: References | None,
) -> Callable[[], float] | None:
    """Measures the loss of the rows that choose: of their learned tokens, or, of answers that were
    compared, the training loss itself. None where no row was held out."""
    recipe, choosing = setup.recipe, setup.held_out.choosing
    if not choosing:
        return None
    budget = recipe.engine.tokens_per_micro_batch
    if recipe.objective.kind in PREFERENCES:
        lay = laying(recipe, references)
        rows = looked_at(recipe, choosing)
        return HeldOutLoss(tuned.base, paths.validation, objective, rows, lay, budget)
    scorer = ModelScorer(tuned.base, budget, forward=paths.validation)
    return lambda: scorer.mean_loss(choosing)
