"""By what the weights to keep are chosen while a model that writes is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tunesmith.core.ports import Objective
from tunesmith.core.records import Tokens
from tunesmith.data.lay_compared import References
from tunesmith.models.methods import Tuned
from tunesmith.recipe import PREFERENCES
from tunesmith.runs.assembly import laying
from tunesmith.runs.preferences.criterion import HeldOutLoss
from tunesmith.runs.preferences.objective import looked_at
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.setup import Setup
from tunesmith.runs.trunk import Paths


class Criterion(Protocol):
    """A loss of held-out rows, measured of the model as it stands."""

    token_accuracy: float | None
    """Of the last measurement, where it has one: see `ModelScorer.mean_loss`."""

    def __call__(self) -> float:
        """The loss."""
        ...


class LearnedTokens:
    """Nats per learned token of some rows."""

    def __init__(self, scorer: ModelScorer, rows: Sequence[Tokens]) -> None:
        self._scorer = scorer
        self._rows = rows
        self.token_accuracy: float | None = None

    def __call__(self) -> float:
        """The mean over all of them."""
        loss, self.token_accuracy = self._scorer.mean_loss(self._rows)
        return loss


def criterion_of(
    setup: Setup,
    tuned: Tuned,
    paths: Paths,
    objective: Objective,
    references: References | None,
) -> Criterion | None:
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
    return LearnedTokens(ModelScorer(tuned.base, budget, forward=paths.validation), choosing)
