"""Training a model that labels: everything of a run that needs the weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from torch import nn

from tunesmith.core.files import whole_folder, write_json
from tunesmith.core.ports import Batches, Objective, Watcher
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import Loop, Settings
from tunesmith.engine.progress import Progress
from tunesmith.engine.stopping import StopRequest
from tunesmith.evaluate.wording import plural
from tunesmith.models.quantised import weight_count
from tunesmith.runs.assembly import settings_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.labels.batches import label_batches, objective_of
from tunesmith.runs.labels.frozen import Frozen, begin_head
from tunesmith.runs.labels.judges import judge_of
from tunesmith.runs.labels.known import keep_frozen
from tunesmith.runs.labels.plan import plan_labels
from tunesmith.runs.labels.predict import Predictor
from tunesmith.runs.labels.setup import Labelling, LabelSetup
from tunesmith.runs.labels.tuned import opened_labels
from tunesmith.runs.looping import course_of, run_loop
from tunesmith.runs.plan import bytes_needed
from tunesmith.runs.starting import begin
from tunesmith.runs.watching import MetricsWriter


def go_labels(
    setup: LabelSetup,
    folder: RunFolder,
    from_step: int | None,
    watcher: Watcher,
    stop: StopRequest,
) -> None:
    """Train, save, measure and judge; the folder has been begun."""
    recipe = setup.recipe
    judge = judge_of(setup)
    measures = recipe.evaluate.level != "none" and bool(setup.held_out.judging)
    if measures:
        judge.ask(watcher)
    began = time.perf_counter()
    watcher.stage("base", f"open {recipe.model.base} and give it a head")
    tuned = opened_labels(setup)
    opening = time.perf_counter() - began
    kept = keep_frozen(setup, tuned.model, watcher)
    budget = recipe.engine.tokens_per_micro_batch
    predictor, asked = Predictor(tuned.model, budget), Predictor(tuned.model, budget, kept.known)
    frozen = Frozen(setup, asked)
    if measures:
        watcher.stage("measure", judge.begins)
        judge.look(asked, frozen)
    if not Checkpoints(folder.checkpoints, 1).steps():
        begin_head(setup, tuned.model.classifier, frozen, watcher)
    objective = objective_of(setup)
    settings = settings_of(recipe, label_batches(setup, tuned), tuned.rate_factors)
    if not folder.plan.exists():
        setup, planned = plan_labels(
            setup, tuned, objective, settings, folder.disk(), opening, kept, watcher
        )
        if not folder.recipe.exists():
            folder.require_room(bytes_needed(tuned, recipe.engine.keep_checkpoints))  # type: ignore[arg-type]
            begin(setup, folder)
        write_json(folder.plan, planned)
    del frozen  # its features are wanted no more
    batches = label_batches(setup, tuned, kept.known)
    validate = partial(judge.criterion, asked) if setup.held_out.choosing else None
    progress = run_labels(
        setup, folder, tuned.model, validate, objective, batches, settings, from_step, watcher, stop
    )
    naming = judge.naming(predictor, tuned.model.pooling)
    watcher.stage("save", f"the {tuned.artefact}")
    with whole_folder(folder.artefact(tuned.artefact)) as target:
        tuned.save(naming, target)
    judge.trained(predictor)
    artefact, shared = folder.artefact(tuned.artefact), setup.held_out.shared
    course = course_of(progress, settings, batches, folder, shared=shared)
    del tuned, predictor, asked, validate  # their memory is wanted for the model opened from disk
    watcher.stage("evaluate", "the tuned model, opened afresh")
    judge.finish(folder, artefact, course)


def run_labels(
    setup: Labelling,
    folder: RunFolder,
    model: nn.Module,
    validate: Callable[[], float] | None,
    objective: Objective,
    batches: Batches,
    settings: Settings,
    from_step: int | None,
    watcher: Watcher,
    stop: StopRequest,
) -> Progress:
    """Train `model`, a FeatureModel, from the start or from a checkpoint, and note what it took."""
    recipe = setup.recipe
    loop = Loop(
        model,
        model,  # type: ignore[arg-type]  # the objective asks it for features
        objective,
        batches,
        settings,
        validate=validate,
        checkpoints=Checkpoints(folder.checkpoints, recipe.engine.keep_checkpoints),
        watcher=MetricsWriter(folder.metrics, watcher),
    )
    whole = weight_count(model.parameters())
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    outputs = setup.targets.outputs
    said = f"{recipe.model.method} in {recipe.model.dtype}: {trained:,} of {whole:,} weights, " + (
        plural(outputs, "output") if outputs else "vectors of texts"
    )
    return run_loop(loop, folder, from_step, [said], watcher, stop)
