"""The act `train`: check the data, plan, measure the base, train, evaluate, judge, report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Interrupted, RunFolderError
from tunesmith.core.files import (
    read_json,
    remove_partial,
    whole_folder,
    write_json,
)
from tunesmith.core.ports import Objective, Silent, Watcher
from tunesmith.core.records import Tokens
from tunesmith.data import PackedBatches
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import Loop, Settings
from tunesmith.engine.progress import Progress
from tunesmith.engine.stopping import StopRequest, stop_on_signals
from tunesmith.evaluate.measure import Baseline, Measured, Side
from tunesmith.models.checkpointing import checkpoint_activations
from tunesmith.models.methods import Tuned
from tunesmith.models.open import Base
from tunesmith.models.quantised import weight_count
from tunesmith.recipe import PREFERENCES, Recipe, load
from tunesmith.runs.assembly import batches_of, objective_of, opened, settings_of, tell_data
from tunesmith.runs.baselines import measure_baselines
from tunesmith.runs.criterion import Criterion, criterion_of
from tunesmith.runs.epochs import AfterEpoch, saving_epochs
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.frontier import choose_strength
from tunesmith.runs.images.setup import ImageSetup
from tunesmith.runs.images.train import go_images
from tunesmith.runs.judging import judge_run, measure_artefact, measure_side, score_judging
from tunesmith.runs.kinds import AnySetup, set_up_any
from tunesmith.runs.labels.setup import LabelSetup
from tunesmith.runs.labels.train import go_labels
from tunesmith.runs.looping import course_of, run_loop
from tunesmith.runs.measuring import prices_of
from tunesmith.runs.open import Run, open_run
from tunesmith.runs.opinion import judged
from tunesmith.runs.plan import bytes_needed, make_plan
from tunesmith.runs.preferences.judge import Comparisons
from tunesmith.runs.preferences.references import known_of
from tunesmith.runs.reinforce.setup import ReinforceSetup
from tunesmith.runs.reinforce.train import go_reinforced
from tunesmith.runs.rendering import left_out
from tunesmith.runs.samples import own_samples
from tunesmith.runs.setup import Setup
from tunesmith.runs.starting import begin
from tunesmith.runs.teacher import measure_teacher
from tunesmith.runs.trunk import Paths, choose_paths
from tunesmith.runs.unquantised import with_unquantised
from tunesmith.runs.verdict_cost import BASE, HELPED, SAMPLES, STRENGTH, TUNED, timed
from tunesmith.runs.watching import MetricsWriter, Stoppable


def train(
    recipe: Recipe | None,
    out: Path,
    *,
    resume: bool = False,
    from_step: int | None = None,
    watcher: Watcher | None = None,
    stop_when: Callable[[], bool] | None = None,
    after_epoch: AfterEpoch | None = None,
) -> Run:
    """Make a specialised model and its verdict in the run folder `out`.

    Args:
        recipe: what is asked for; None when resuming, where the folder's own recipe rules.
        out: the run folder, new unless resuming.
        resume: go on with the run in `out` from its newest checkpoint.
        from_step: with `resume`, the checkpoint of this step instead.
        watcher: told what happens.
        stop_when: asked between steps and before each stage; once true, the run saves and ends.
        after_epoch: told of the model after each pass over the data, of which the last few are
            kept in the run folder; only of models that write.

    Raises:
        InputError: something the user gave cannot be used; a new run has written nothing then.
        Interrupted: after Ctrl-C, SIGTERM or `stop_when`, with all work saved.
        NonFiniteLoss, StorageError: see there; the last checkpoint is whole.
    """
    folder = RunFolder(out)
    with stop_on_signals(stop_when) as stop:
        watcher = Stoppable(watcher or Silent(), stop)
        try:
            setup = (
                _take_up(folder, from_step, watcher)
                if resume
                else _check(_named(recipe), folder, watcher)
            )
            if isinstance(setup, LabelSetup):
                go_labels(setup, folder, from_step, watcher, stop)
            elif isinstance(setup, ImageSetup):
                go_images(setup, folder, from_step, watcher, stop)
            elif isinstance(setup, ReinforceSetup):
                go_reinforced(setup, folder, from_step, watcher, stop, after_epoch)
            elif setup is not None:
                _go(setup, folder, from_step, watcher, stop, after_epoch)
        except KeyboardInterrupt:
            raise Interrupted(_left(folder)) from None
    return open_run(folder.path)


def _named(recipe: Recipe | None) -> Recipe:
    if recipe is None:
        raise RunFolderError("A new run needs a recipe; only a resumed one brings its own.")
    return recipe


def _check(recipe: Recipe, folder: RunFolder, watcher: Watcher) -> AnySetup:
    """Check a new run as far as that needs no weights."""
    folder.require_new()
    watcher.stage("data", "read, check, split")
    setup = set_up_any(recipe)
    tell_data(setup, watcher)
    return setup


def _take_up(folder: RunFolder, from_step: int | None, watcher: Watcher) -> AnySetup | None:
    """The setup of a run that was begun, made again; None if the run is finished.

    Raises RunFolderError if a file the run is made from is no longer what it was, or if a finished
    run is to be taken back to a step.
    """
    folder.require_begun()
    remove_partial(folder.path)
    if folder.verdict.exists():
        if from_step is not None:
            raise RunFolderError(
                f"The run in {folder.path} is finished, so it cannot go on from step {from_step}. "
                "Start a new run with another --out."
            )
        watcher.note(f"The run in {folder.path} is finished; there is nothing to resume.")
        return None
    watcher.stage("data", "read again for the resumed run")
    setup = set_up_any(load(folder.recipe))
    if changed := folder.changed_inputs(setup.inputs):
        raise RunFolderError(
            f"{', '.join(changed)} changed since the run in {folder.path} began, so going on would "
            "mix two runs. Put the file back, or start a new run with another --out."
        )
    return setup


def _go(
    setup: Setup,
    folder: RunFolder,
    from_step: int | None,
    watcher: Watcher,
    stop: StopRequest,
    after_epoch: AfterEpoch | None,
) -> None:
    """Everything that needs the weights."""
    began = time.perf_counter()
    recipe = setup.recipe
    tuned = opened(setup, watcher)
    base = tuned.base
    batches = batches_of(setup, share=tuned.shares)
    settings = settings_of(recipe, batches, tuned.rate_factors)
    if not folder.plan.exists():
        opening = time.perf_counter() - began
        setup = _begun(setup, tuned, settings, folder, opening, watcher)
        batches = batches_of(setup, share=tuned.shares)
    comparisons = Comparisons(setup, folder, watcher)
    with tuned.without() as plain:
        with timed(folder, SAMPLES):
            samples = own_samples(plain, setup, folder)
        base_side = _base_side(plain, setup, samples, folder, watcher)
        baselines = _baselines(plain, setup, folder, watcher)
        base_way = comparisons.ask_base(plain)
        known = known_of(plain, setup, batches, settings.total_steps, folder, watcher)
    teacher = _teacher(tuned.teacher, setup, folder, watcher)
    batches = batches_of(setup, tuned.shares, known)
    paths = choose_paths(setup, folder, tuned, batches, settings)
    write_json(folder.plan, {**read_json(folder.plan), "trunk": paths.to_json()})
    objective = objective_of(recipe, tuned)
    validate = criterion_of(setup, tuned, paths, objective, known)
    progress = _train(
        setup,
        folder,
        tuned,
        paths,
        objective,
        batches,
        settings,
        validate,
        from_step,
        watcher,
        stop,
        saving_epochs(tuned, folder, after_epoch),
    )
    with timed(folder, STRENGTH):
        frontier = choose_strength(tuned, setup, watcher)
    watcher.stage("save", f"the {tuned.artefact}")
    with whole_folder(folder.artefact(tuned.artefact)) as target:
        tuned.save(target)
    shared = setup.held_out.shared
    course = course_of(progress, settings, batches, folder, shared=shared)
    measured = Measured(
        base=base_side,
        course=course,
        baselines=baselines,
        teacher=teacher,
        frontier=frontier,
        grading=setup.grading,
        prices=prices_of(recipe.evaluate),
        left_out=left_out(setup.described),
    )
    if recipe.evaluate.level != "none":
        watcher.stage("evaluate", "the tuned model, opened afresh")
        with timed(folder, TUNED):
            in_memory, artefact = score_judging(base, setup), folder.artefact(tuned.artefact)
            del base, tuned, paths  # their memory is wanted for the model opened from disk
            measured = measure_artefact(setup, artefact, in_memory, measured, samples)
        measured = with_unquantised(measured, setup, folder, artefact, watcher)
        measured = replace(measured, judged=judged(recipe, folder, measured, watcher))
    if recipe.objective.kind in PREFERENCES:
        comparisons.judged(measured, base_way)
    else:
        judge_run(setup, folder, measured)


def _begun(
    setup: Setup,
    tuned: Tuned,
    settings: Settings,
    folder: RunFolder,
    opening: float,
    watcher: Watcher,
) -> Setup:
    """Plan the run, and write the first of it; the setup is that which fits."""
    setup, planned = _plan(setup, tuned, settings, folder.disk(), opening, watcher)
    if not folder.recipe.exists():
        folder.require_room(bytes_needed(tuned, setup.recipe.engine.keep_checkpoints))
        begin(setup, folder)
    write_json(folder.plan, planned)
    return setup


def _plan(
    setup: Setup,
    tuned: Tuned,
    settings: Settings,
    disk: Path,
    opening: float,
    watcher: Watcher,
) -> tuple[Setup, dict[str, Any]]:
    """Foresee the run, make it fit, and tell the user."""
    watcher.stage("plan", "compute a few micro-batches")
    setup, planned = make_plan(
        setup,
        tuned,
        settings,
        batches_of,
        opening=opening,
        folder=disk,
        objective=objective_of(setup.recipe, tuned),
    )
    for sentence in planned.sentences():
        watcher.note(sentence)
    if setup.recipe.engine.activation_checkpointing:
        checkpoint_activations(tuned.base.model)  # once more changes nothing
    return setup, planned.to_json()


def _base_side(
    base: Base, setup: Setup, samples: Sequence[Tokens], folder: RunFolder, watcher: Watcher
) -> Side | None:
    """The base's measurements, made once and kept for a resumed run."""
    if setup.recipe.evaluate.level == "none":
        return None
    if folder.base_side.exists():
        return Side.from_json(read_json(folder.base_side))
    watcher.stage("measure", "the base on held-out rows and general probes")
    with timed(folder, BASE):
        side = measure_side(base, setup, samples)
    write_json(folder.base_side, side.to_json())
    return side


def _baselines(
    base: Base, setup: Setup, folder: RunFolder, watcher: Watcher
) -> tuple[Baseline, ...]:
    evaluate = setup.recipe.evaluate
    if evaluate.level == "none" or not (evaluate.examples or evaluate.prompt):
        return ()
    watcher.stage("compare", "the base with examples in its prompt, and with search")
    with timed(folder, HELPED):
        return measure_baselines(base, setup, folder)


def _teacher(
    teacher: Base | None, setup: Setup, folder: RunFolder, watcher: Watcher
) -> Baseline | None:
    if teacher is None or setup.recipe.evaluate.level == "none":
        return None
    watcher.stage("compare", f"the teacher {teacher.described.name}")
    with timed(folder, HELPED):
        return measure_teacher(teacher, setup, folder)


def _train(
    setup: Setup,
    folder: RunFolder,
    tuned: Tuned,
    paths: Paths,
    objective: Objective,
    batches: PackedBatches,
    settings: Settings,
    validate: Criterion | None,
    from_step: int | None,
    watcher: Watcher,
    stop: StopRequest,
    after_epoch: Callable[[int], None] | None,
) -> Progress:
    recipe = setup.recipe
    loop = Loop(
        tuned.module,
        paths.training,
        objective,
        batches,
        settings,
        validate=validate,
        checkpoints=Checkpoints(folder.checkpoints, recipe.engine.keep_checkpoints),
        watcher=MetricsWriter(
            folder.metrics, watcher, lambda: validate.token_accuracy if validate else None
        ),
        take_up=lambda batches, done: paths.refill(batches, done, tuned),
        start=tuned.start.weights if tuned.start else None,
        revision=tuned.revision(settings.total_steps) if tuned.revision else None,
        after_epoch=after_epoch,
    )
    said = [_described(tuned, recipe)]
    if paths.trunk.note:
        said.append(paths.trunk.note)
    if paths.trunk.place:
        said.append("Later epochs compute the trained part only; the plan counts them in full.")
    return run_loop(loop, folder, from_step, said, watcher, stop)


def _described(tuned: Tuned, recipe: Recipe) -> str:
    whole = weight_count(tuned.module.parameters())
    share = tuned.trainable / whole
    digits = max(0, 1 - math.floor(math.log10(100 * share)))
    return (
        f"{recipe.model.method} in {recipe.model.dtype}: {tuned.trainable:,} of {whole:,} weights "
        f"({share:.{digits}%})"
    )


def _left(folder: RunFolder) -> str:
    if not folder.recipe.exists():
        return "Stopped before anything was written."
    steps = Checkpoints(folder.checkpoints, 1).steps()
    kept = f"The checkpoint of step {steps[-1]} is saved" if steps else "No step was lost"
    return f"Stopped. {kept}; resume the run to go on."
