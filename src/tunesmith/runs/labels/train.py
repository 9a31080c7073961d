"""Training a model that labels: everything of a run that needs the weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from torch import nn

from tunesmith.core.files import read_jsonl, whole_folder, write_json
from tunesmith.core.ports import Batches, Objective, Watcher
from tunesmith.engine.allocator import give_back
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import Loop, Settings
from tunesmith.engine.progress import Progress
from tunesmith.engine.stopping import StopRequest
from tunesmith.evaluate.measure import Course
from tunesmith.runs.assembly import settings_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.labels.batches import label_batches, objective_of
from tunesmith.runs.labels.judges import judge_of
from tunesmith.runs.labels.plan import plan_labels
from tunesmith.runs.labels.predict import Predictor
from tunesmith.runs.labels.setup import Labelling, LabelSetup
from tunesmith.runs.labels.tuned import opened_labels
from tunesmith.runs.memory import Meter
from tunesmith.runs.plan import bytes_needed
from tunesmith.runs.planned import afterwards, note_cost
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
    recipe, began = setup.recipe, time.perf_counter()
    watcher.stage("base", f"open {recipe.model.base} and give it a head")
    tuned = opened_labels(setup)
    predictor = Predictor(tuned.model, recipe.engine.tokens_per_micro_batch)
    judge = judge_of(setup)
    if recipe.evaluate.level != "none" and setup.held_out.judging:
        watcher.stage("measure", judge.begins)
        judge.look(predictor)
    objective = objective_of(setup)
    settings = settings_of(recipe, label_batches(setup, tuned))
    if not folder.plan.exists():
        opening = time.perf_counter() - began
        setup, planned = plan_labels(
            setup, tuned, objective, settings, folder.disk(), opening, watcher
        )
        if not folder.recipe.exists():
            folder.require_room(bytes_needed(tuned, recipe.engine.keep_checkpoints))  # type: ignore[arg-type]
            begin(setup, folder)
        write_json(folder.plan, planned)
    batches = label_batches(setup, tuned)
    validate = partial(judge.criterion, predictor) if setup.held_out.choosing else None
    progress = run_loop(
        setup, folder, tuned.model, validate, objective, batches, settings, from_step, watcher, stop
    )
    naming = judge.naming(predictor, tuned.model.pooling)
    watcher.stage("save", f"the {tuned.artefact}")
    with whole_folder(folder.artefact(tuned.artefact)) as target:
        tuned.save(naming, target)
    judge.trained(predictor)
    artefact, course = (
        folder.artefact(tuned.artefact),
        course_of(setup, folder, progress, settings, batches),
    )
    del tuned, predictor, validate  # their memory is wanted for the model opened from disk
    watcher.stage("evaluate", "the tuned model, opened afresh")
    judge.finish(folder, artefact, course)


def run_loop(
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
    checkpoints = Checkpoints(folder.checkpoints, recipe.engine.keep_checkpoints)
    loop = Loop(
        model,
        model,  # type: ignore[arg-type]  # the objective asks it for features
        objective,
        batches,
        settings,
        validate=validate,
        checkpoints=checkpoints,
        watcher=MetricsWriter(folder.metrics, watcher),
    )
    if from_step is not None or checkpoints.steps():
        checkpoint = checkpoints.load(from_step)
        loop.resume(checkpoint)
        folder.forget_metrics_after(checkpoint.step)
    else:
        folder.forget_metrics_after(0)
    whole = sum(weight.numel() for weight in model.parameters())
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    watcher.stage(
        "train",
        f"{recipe.model.method} in {recipe.model.dtype}: {trained:,} of {whole:,} weights, "
        + (f"{setup.targets.outputs} outputs" if setup.targets.outputs else "vectors of texts"),
    )
    meter = Meter(next(model.parameters()).device)
    give_back()
    meter.mark()
    began = time.perf_counter()
    with stop.between_steps():
        progress = loop.run(stop)
    watcher.note(afterwards(note_cost(folder, time.perf_counter() - began, meter.peak())))
    return progress


def course_of(
    setup: Labelling,
    folder: RunFolder,
    progress: Progress,
    settings: Settings,
    batches: Batches,
) -> Course:
    """How training went, for the verdict and its picture."""
    kept = progress.best_step if settings.keep_best and progress.best_step else progress.step
    return Course(
        validations=tuple(progress.validations),
        kept_step=kept,
        last_step=progress.step,
        planned_steps=settings.total_steps,
        planned_epochs=settings.total_steps / batches.steps_per_epoch,
        chosen_on_judged=setup.held_out.shared and settings.keep_best,
        seconds=sum(line.get("seconds", 0.0) for line in read_jsonl(folder.metrics)),
    )
