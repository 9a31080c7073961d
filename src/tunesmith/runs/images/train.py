"""Training a model that labels images: everything of a run that needs the weights."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from tunesmith.core.files import whole_folder, write_json
from tunesmith.core.ports import Objective, Silent, Watcher
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import Loop, Settings
from tunesmith.engine.stopping import StopRequest
from tunesmith.evaluate.labels.measured import LabelMeasured, Rival
from tunesmith.models.vision import VisionModel
from tunesmith.recipe import Recipe
from tunesmith.runs.assembly import settings_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.images.batches import image_batches
from tunesmith.runs.images.judge import measured_images
from tunesmith.runs.images.plan import plan_images
from tunesmith.runs.images.predict import ImagePredictor
from tunesmith.runs.images.setup import ImageSetup
from tunesmith.runs.images.tuned import opened_images
from tunesmith.runs.labels.batches import objective_of
from tunesmith.runs.labels.frozen import Frozen, begin_head
from tunesmith.runs.labels.judge import (
    AnyRivals,
    criterion,
    judge_label_run,
    naming_of,
    rivals_of,
    said_of,
)
from tunesmith.runs.labels.predict import Floats
from tunesmith.runs.labels.train import run_labels
from tunesmith.runs.looping import course_of
from tunesmith.runs.plan import bytes_needed
from tunesmith.runs.starting import begin

_SCRATCH = "the same model from random weights"
_SCRATCH_RATE = 1e-3
"""AdamW's usual, as `auto` has it for runs from scratch."""


def go_images(
    setup: ImageSetup,
    folder: RunFolder,
    from_step: int | None,
    watcher: Watcher,
    stop: StopRequest,
) -> None:
    """Train, save, measure and judge; the folder has been begun."""
    recipe, began = setup.recipe, time.perf_counter()
    watcher.stage("base", f"open {recipe.model.base} and give it a head")
    tuned = opened_images(setup)
    opening = time.perf_counter() - began
    known_RD, trunk_seconds = _known(setup, tuned.model, watcher)
    predictor = ImagePredictor(tuned.model, setup.gallery, _at_once(setup.recipe), known_RD)
    frozen = Frozen(setup, predictor)
    rivals, frozen_RD = _rivals(setup, predictor, frozen, watcher)
    if not Checkpoints(folder.checkpoints, 1).steps():
        begin_head(setup, tuned.model.classifier, frozen, watcher)
    del frozen  # its features are wanted no more
    objective = objective_of(setup)
    settings = settings_of(recipe, image_batches(setup), tuned.rate_factors)
    if not folder.plan.exists():
        watcher.stage("plan", "compute a few micro-batches")
        setup, plan = plan_images(
            setup, tuned, objective, settings, folder.disk(), opening, known_RD, trunk_seconds
        )
        for sentence in plan.sentences():
            watcher.note(sentence)
        if not folder.recipe.exists():
            folder.require_room(bytes_needed(tuned, recipe.engine.keep_checkpoints))  # type: ignore[arg-type]
            begin(setup, folder)
        write_json(folder.plan, plan.to_json())
    batches = image_batches(setup, known_RD)
    choosing = setup.held_out.choosing
    validate = partial(criterion, predictor, choosing, setup.targets) if choosing else None
    progress = run_labels(
        setup,
        folder,
        tuned.model,
        validate,
        objective,
        batches,
        settings,
        from_step,
        watcher,
        stop,
    )
    naming = naming_of(setup, predictor, "mean")
    watcher.stage("save", f"the {tuned.artefact}")
    artefact = folder.artefact(tuned.artefact)
    with whole_folder(artefact) as target:
        tuned.save(naming, target)
    in_memory_RC = predictor.outputs(setup.held_out.judging)
    shared = setup.held_out.shared
    course = course_of(progress, settings, batches, folder, shared=shared)
    del tuned, predictor, validate  # their memory is wanted for the model opened from disk
    watcher.stage("evaluate", "the tuned model, opened afresh")
    measured = measured_images(setup, artefact, in_memory_RC, frozen_RD, rivals, course)
    if recipe.evaluate.level == "full" and not recipe.model.from_scratch:
        watcher.stage("compare", "the same model, trained from random weights")
        measured = _with_scratch(setup, objective, settings, measured, stop)
    judge_label_run(setup, folder, measured)


def _at_once(recipe: Recipe) -> int:
    return int(recipe.engine.images_per_micro_batch)


def _known(setup: ImageSetup, model: VisionModel, watcher: Watcher) -> tuple[Floats | None, float]:
    """What the frozen trunk makes of all images, where the head alone is trained, else None; and
    the seconds that took."""
    if setup.recipe.model.method != "head":
        return None, 0.0
    watcher.stage("trunk", f"{len(setup.rows):,} images through the frozen trunk, once")
    began = time.perf_counter()
    known_RD = ImagePredictor(model, setup.gallery, _at_once(setup.recipe)).features(setup.rows)
    seconds = time.perf_counter() - began
    watcher.note(f"That took {seconds:.1f} s; no epoch does so again.")
    return known_RD, seconds


def _rivals(
    setup: ImageSetup, predictor: ImagePredictor, frozen: Frozen, watcher: Watcher
) -> tuple[AnyRivals | None, Floats | None]:
    """Simple learners on the untrained trunk, and its features of the rows that judge."""
    if setup.recipe.evaluate.level == "none" or not setup.held_out.judging:
        return None, None
    watcher.stage("measure", "simple learners on what the untrained base makes of the images")
    return rivals_of(setup, frozen), predictor.features(setup.held_out.judging)


def _with_scratch(
    setup: ImageSetup,
    objective: Objective,
    settings: Settings,
    measured: LabelMeasured,
    stop: StopRequest,
) -> LabelMeasured:
    """Beside the other ways: the same model from random weights, on the same batches."""
    tuned = opened_images(setup, from_scratch=True)
    predictor = ImagePredictor(tuned.model, setup.gallery, _at_once(setup.recipe))
    batches = image_batches(setup)
    choosing, rows = setup.held_out.choosing, setup.held_out.judging
    with tempfile.TemporaryDirectory(prefix="tunesmith-") as temporary:
        loop = Loop(
            tuned.model,
            tuned.model,  # type: ignore[arg-type]  # the objective asks it for features
            objective,
            batches,
            replace(
                settings,
                learning_rate=_SCRATCH_RATE,
                checkpoint_every=settings.total_steps,
                rate_factors={},
            ),
            validate=partial(criterion, predictor, choosing, setup.targets) if choosing else None,
            checkpoints=Checkpoints(Path(temporary), 1),
            watcher=Silent(),
        )
        with stop.between_steps():
            loop.run(stop)
    naming = naming_of(setup, predictor, "mean")
    said = said_of(rows, predictor.outputs(rows), naming)
    rival = Rival("scratch", _SCRATCH, said, f"trained as long, at a rate of {_SCRATCH_RATE:g}")
    return replace(measured, rivals=(*measured.rivals, rival))
