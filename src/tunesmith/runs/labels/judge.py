"""Measuring a model that labels, and what is written of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.batch import Pooling
from tunesmith.core.files import read_json, write_json
from tunesmith.core.records import Example, Origin, Rating, Scored, Tokens
from tunesmith.data.classes import Targets
from tunesmith.data.examine import RowRenderer
from tunesmith.data.labelled import texts_of
from tunesmith.data.quality.view import view
from tunesmith.evaluate.labels.calibration import (
    calibration_error,
    fit_temperature,
    negative_log_likelihood,
    probabilities,
    reliability,
    threshold_for,
)
from tunesmith.evaluate.labels.card import shown_of_labels
from tunesmith.evaluate.labels.measured import Calibration, Certificate, LabelMeasured, Said
from tunesmith.evaluate.labels.page import render_labels
from tunesmith.evaluate.labels.rivals import Rivals
from tunesmith.evaluate.labels.tag_rivals import TagRivals
from tunesmith.evaluate.labels.verdict import judge_labels
from tunesmith.evaluate.measure import Course
from tunesmith.evaluate.rewards.steps import StepRivals
from tunesmith.evaluate.verdict import Verdict
from tunesmith.models.label_artefact import LABELS, Naming
from tunesmith.recipe import Recipe
from tunesmith.runs.artefacts import hashes
from tunesmith.runs.finished import artefact_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.labels.frozen import Frozen
from tunesmith.runs.labels.predict import Asked, Predictor
from tunesmith.runs.labels.setup import Labelling, LabelSetup, label_renderer
from tunesmith.runs.labels.tags import naming_of_tags, said_of_words, step_rivals, tag_rivals
from tunesmith.runs.labels.tuned import open_labelled
from tunesmith.runs.written import about, finish

Floats = NDArray[np.float32]

AnyRivals = Rivals | TagRivals | StepRivals
"""Simple ways to label, by what is labelled."""

TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}


def said_of(
    rows: Sequence[Tokens], outputs_RC: Floats, naming: Naming, shown: Sequence[Example] = ()
) -> tuple[Said, ...]:
    """What each row is labelled as, given the head's outputs."""
    if naming.problem in ("tags", "steps"):
        return said_of_words(rows, outputs_RC, naming, shown)
    labels, sure_R = labels_of(outputs_RC, naming)
    texts = [_text(example) for example in shown] or [""] * len(rows)
    return tuple(
        Said(row.origin, _sorted(row.labels), each, float(sure), text)
        for row, each, sure, text in zip(rows, labels, sure_R, texts, strict=True)
    )


def labels_of(
    outputs_RC: Floats, naming: Naming
) -> tuple[list[tuple[str, ...]], NDArray[np.float64]]:
    """The labels of each row, and how sure it is of them (R), from 0 to 1."""
    if naming.problem == "regression":
        numbers = outputs_RC[:, 0].astype(np.float64) * naming.scale + naming.mean
        return [(repr(round(float(number), 6)),) for number in numbers], np.ones(len(numbers))
    chance_RC = probabilities(outputs_RC, naming.problem, naming.temperature)
    return [named(chance_C, naming) for chance_C in chance_RC], chance_RC.max(1)


def named(chance_C: NDArray[np.float64], naming: Naming) -> tuple[str, ...]:
    """The likeliest class, or each that is likelier than not."""
    if naming.problem == "single_label":
        return (naming.names[int(chance_C.argmax())],)
    return tuple(naming.names[place] for place in np.flatnonzero(chance_C > 0.5))


def criterion(predictor: Asked, rows: Sequence[Tokens], targets: Targets) -> float:
    """The held-out loss by which weights are chosen: nats a row at its best temperature.

    How sure a model is can be mended after training, which classes it confuses cannot: weights are
    chosen by the latter alone (Berta et al. 2025, Rethinking Early Stopping: Refine, Then
    Calibrate). For numbers it is half the mean squared error, in standard deviations.
    """
    outputs_RC = predictor.outputs(rows)
    wanted, problem = targets.of_rows(rows), targets.problem
    if problem == "regression":
        return float(np.mean((outputs_RC[:, 0] - wanted) ** 2) / 2)
    temperature, doubt = fit_temperature(outputs_RC, wanted, problem), 1 / (len(outputs_RC) + 2)
    return negative_log_likelihood(outputs_RC, wanted, problem, temperature, doubt)


def naming_of(setup: Labelling, predictor: Asked, pooling: Pooling) -> Naming:
    """What the outputs mean, with the temperature and the threshold that the choosing rows give."""
    targets, rows = setup.targets, setup.held_out.choosing
    naming = Naming(targets.task, targets.names, pooling, targets.mean, targets.scale)
    if setup.recipe.objective.kind == "reward":
        written = setup.recipe.data.completion_as
        naming = replace(naming, odds=targets.odds, written=written)
    if targets.task == "tags":
        assert isinstance(setup, LabelSetup)  # words are of texts
        naming = naming_of_tags(setup, naming)
    if targets.problem == "regression" or not rows:
        return naming
    outputs_RC = predictor.outputs(rows).astype(np.float64)
    temperature = fit_temperature(outputs_RC, targets.of_rows(rows), targets.problem)
    sure_R = probabilities(outputs_RC, targets.problem, temperature).max(1)
    return replace(
        naming,
        temperature=temperature,
        threshold=threshold_for(sure_R, setup.recipe.evaluate.abstain),
    )


def rivals_of(setup: Labelling, frozen: Frozen) -> AnyRivals:
    """The simple learners, fitted on what the untrained base makes of the training rows."""
    if setup.targets.words:
        return (step_rivals if setup.targets.odds else tag_rivals)(setup, frozen)
    labels, targets, probe = (
        [_sorted(row.labels) for row in frozen.rows],
        setup.targets,
        frozen.probe(),
    )
    naming = Naming(targets.task, targets.names, "mean", targets.mean, targets.scale)
    return Rivals(
        frozen.features,
        labels,
        targets.problem,
        lambda features_RD: labels_of(probe(features_RD), naming)[0],
    )


def measured_of(
    setup: LabelSetup,
    artefact: Path,
    in_memory_RC: Floats,
    frozen_RD: Floats | None,
    rivals: AnyRivals | None,
    course: Course,
) -> LabelMeasured:
    """Measure what was saved, opened afresh, and hold it against the outputs in memory."""
    recipe, rows = setup.recipe, setup.held_out.judging
    described, model, naming = open_labelled(artefact, recipe)
    if not rows:
        return LabelMeasured(naming.problem, naming.names, course=course)
    predictor = Predictor(model, recipe.engine.tokens_per_micro_batch)
    numbers = np.unique(setup.prepared.held_out.rows).tolist()
    examples = {each.origin: each for each in setup.prepared.examples(numbers)}
    shown = [examples[row.origin] for row in rows]
    renderer = label_renderer(described, recipe.objective.kind, recipe.data)
    same = same_ids(renderer, recipe, rows, examples)
    return gathered(setup, predictor, naming, shown, in_memory_RC, frozen_RD, rivals, course, same)


def gathered(
    setup: Labelling,
    reopened: Asked,
    naming: Naming,
    shown: Sequence[Example],
    in_memory_RC: Floats,
    frozen_RD: Floats | None,
    rivals: AnyRivals | None,
    course: Course,
    same: int,
) -> LabelMeasured:
    """What the saved model says of the rows that judge, and of as many that were trained on.

    `shown` are these rows as the report shows their texts; `same` of them are asked as they were
    trained.
    """
    rows = setup.held_out.judging
    outputs_RC = reopened.outputs(rows)
    held_out = said_of(rows, outputs_RC, naming, shown)
    seen = setup.rehearsed(len(rows))
    return LabelMeasured(
        problem=naming.problem,
        names=naming.names,
        held_out=held_out,
        trained=said_of(seen, reopened.outputs(seen), naming),
        rivals=() if rivals is None or frozen_RD is None else rivals.judge(frozen_RD, held_out),
        course=course,
        calibration=_calibration(held_out, outputs_RC, setup.targets, naming),
        certificate=Certificate(
            _difference(in_memory_RC, outputs_RC, naming),
            len(rows),
            same,
            TOLERANCE[setup.recipe.model.dtype],
        ),
        threshold=naming.threshold,
    )


def judge_label_run(setup: Labelling, folder: RunFolder, measured: LabelMeasured) -> Verdict:
    """Write all that says what was made and how good it is."""
    verdict = judge_labels(measured, setup.recipe.engine.seed)
    artefact, said = artefact_of(folder), verdict.to_json()
    write_json(folder.hashes, hashes(artefact))
    recipe, naming = setup.recipe.model_dump(mode="json"), read_json(artefact / LABELS)
    shown = shown_of_labels(said, measured, artefact.name, recipe, naming)
    finish(folder, said, measured.to_json(), render_labels(said, measured, *about(folder)), shown)
    return verdict


def _calibration(
    held_out: Sequence[Said], outputs_RC: Floats, targets: Targets, naming: Naming
) -> Calibration | None:
    """For a single label, on the rows that judge."""
    if targets.task != "single_label":
        return None
    right_R = np.array([row.wanted == row.said for row in held_out])
    sides = []
    for temperature in (1.0, naming.temperature):
        sure_R = probabilities(outputs_RC.astype(np.float64), "single_label", temperature).max(1)
        sides.append(reliability(sure_R, right_R))
    before, after = map(calibration_error, sides)
    return Calibration(naming.temperature, before, after, tuple(sides[1]))


def _difference(before_RC: Floats, after_RC: Floats, naming: Naming) -> float:
    """The largest difference of a probability, or of a number in its standard deviations."""
    if naming.problem == "regression":
        return float(np.abs(before_RC - after_RC).max())
    sides = (
        probabilities(each.astype(np.float64), naming.problem, naming.temperature)
        for each in (before_RC, after_RC)
    )
    before, after = sides
    return float(np.abs(before - after).max())


def same_ids(
    renderer: RowRenderer,
    recipe: Recipe,
    rows: Sequence[Tokens],
    examples: Mapping[Origin, Example],
) -> int:
    """How many rows a server that opens the artefact would ask with the ids of training."""
    wanted: defaultdict[Origin, list[list[int]]] = defaultdict(list)
    for row in rows:
        wanted[row.origin].append(row.ids_N.tolist())
    shown = [examples[origin] for origin in wanted]
    kind, context = recipe.objective.kind, int(recipe.data.context)
    asked = renderer.render(shown, kind, context)
    return sum(
        isinstance(parts, list) and [part.ids_N.tolist() for part in parts] == ids
        for parts, ids in zip(asked, wanted.values(), strict=True)
    )


def _text(example: Example) -> str:
    judged = isinstance(example.content, Rating | Scored)
    return view(example).text if judged else texts_of(example)[0]


def _sorted(labels: Sequence[str]) -> tuple[str, ...]:
    """A set of classes has no order."""
    return tuple(sorted(dict.fromkeys(labels)))
