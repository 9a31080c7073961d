"""The plan of a labelling run: that of any run, with what its judging costs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import FeatureModel, Objective, Watcher
from tunesmith.core.records import Score, Tokens
from tunesmith.engine.loop import Settings
from tunesmith.models.checkpointing import checkpoint_activations
from tunesmith.objectives.embeddings import Embeddings
from tunesmith.runs.assembly import settings_of
from tunesmith.runs.calibrate import Clock
from tunesmith.runs.estimate import Answering, Judging, try_scoring
from tunesmith.runs.labels.batches import label_batches, objective_of
from tunesmith.runs.labels.judges import judged_texts
from tunesmith.runs.labels.known import Kept, foresee_kept
from tunesmith.runs.labels.predict import Predictor
from tunesmith.runs.labels.setup import LabelSetup
from tunesmith.runs.labels.tuned import LabelBase, LabelTuned, opened_labels
from tunesmith.runs.memory import Meter
from tunesmith.runs.plan import make_plan
from tunesmith.runs.planned import Plan
from tunesmith.runs.workload import Shape


class LabelJudging(Judging):
    """Asking the held-out rows, as many trained ones, and what they are held against."""

    def seconds(self, setup: Any, opening: float) -> float:
        """Of judging a whole run, at most."""
        if setup.recipe.evaluate.level == "none":
            return opening
        return super().scoring_seconds(judged_texts(setup)) + opening

    def bytes(self, setup: Any) -> float:
        """The peak of judging, above what is held."""
        return self.scoring_bytes(setup.held_out.judging)


class KnownJudging(LabelJudging):
    """The same where what the frozen body makes of the rows that choose is known: asking the head
    alone about them costs next to nothing."""

    def scoring_seconds(self, examples: Sequence[Tokens]) -> float:
        """Of a validation."""
        return 0.0


@dataclass(frozen=True, slots=True)
class _Cached:
    """The Objective port as far as the cost of a step with several micro-batches goes: embeddings
    are computed once more, without a graph."""

    objective: Embeddings

    def loss(self, model: FeatureModel, batch: Batch) -> LossSum:
        """That of the micro-batch alone."""
        with torch.no_grad():
            self.objective.embed(model, batch)
        return self.objective.loss(model, batch)


@dataclass(frozen=True, slots=True)
class _Asking:
    """The Scorer port as far as its cost goes."""

    predictor: Predictor

    def score(self, examples: Sequence[Tokens]) -> list[Score]:
        """Asks, and forgets what was said."""
        self.predictor.outputs(examples)
        return []


def try_labelling(
    setup: LabelSetup,
    base: LabelBase,
    most: int,
    shape: Shape,
    meter: Meter,
    clock: Clock,
    *,
    kind: type[LabelJudging] = LabelJudging,
) -> Judging:
    """Label some rows, at most `most` tokens of them."""
    budget = int(setup.recipe.engine.tokens_per_micro_batch)
    rows = setup.held_out.choosing or setup.rehearsed(64)
    asking = _Asking(Predictor(base.forward, budget))
    scoring = try_scoring(asking, rows, min(budget, most), shape, meter, clock)
    return kind(shape, budget, scoring, Answering())


def foresee_labels(setup: LabelSetup, watcher: Watcher) -> Plan:
    """The plan alone, of a run that is not begun."""
    began = time.perf_counter()
    watcher.stage("base", f"open {setup.recipe.model.base} and give it a head")
    tuned = opened_labels(setup)
    settings = settings_of(setup.recipe, label_batches(setup, tuned), tuned.rate_factors)
    watcher.stage("plan", "compute a few micro-batches")
    disk, opening = Path(tempfile.gettempdir()), time.perf_counter() - began
    kept = foresee_kept(setup, tuned.model)
    return _planned(setup, tuned, objective_of(setup), settings, disk, opening, kept)[1]


def plan_labels(
    setup: LabelSetup,
    tuned: LabelTuned,
    objective: Objective,
    settings: Settings,
    disk: Path,
    opening: float,
    kept: Kept,
    watcher: Watcher,
) -> tuple[LabelSetup, dict[str, Any]]:
    """Foresee the run, make it fit, and tell the user."""
    watcher.stage("plan", "compute a few micro-batches")
    setup, planned = _planned(setup, tuned, objective, settings, disk, opening, kept)
    for sentence in planned.sentences():
        watcher.note(sentence)
    if setup.recipe.engine.activation_checkpointing:
        checkpoint_activations(tuned.model.body)
    return setup, planned.to_json()


def _planned(
    setup: LabelSetup,
    tuned: LabelTuned,
    objective: Objective,
    settings: Settings,
    disk: Path,
    opening: float,
    kept: Kept,
) -> tuple[LabelSetup, Plan]:
    if isinstance(objective, Embeddings) and len(label_batches(setup, tuned).step(0, 0)) > 1:
        objective = _Cached(objective)
    setup, plan = make_plan(
        setup,  # type: ignore[arg-type]  # the plan reads what both kinds of run have
        tuned,  # type: ignore[arg-type]
        settings,
        lambda fitted, share: label_batches(fitted, tuned, kept.known),  # type: ignore[arg-type]
        opening=opening,
        folder=disk,
        objective=objective,
        judged=partial(try_labelling, kind=LabelJudging if kept.known is None else KnownJudging),
    )
    return setup, plan.after_trunk(kept.seconds, kept.note)
