"""Measuring a model that labels images, and the pictures of what it got right and wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tunesmith.core.files import read_json
from tunesmith.data.images.preparation import Preparation
from tunesmith.data.images.small import data_uri
from tunesmith.evaluate.labels.measured import LabelMeasured, Said
from tunesmith.evaluate.labels.page import SHOWN, right_of, wrong_of
from tunesmith.evaluate.measure import Course
from tunesmith.models.vision import PREPROCESSOR
from tunesmith.runs.images.predict import ImagePredictor
from tunesmith.runs.images.setup import ImageSetup
from tunesmith.runs.images.tuned import open_images
from tunesmith.runs.labels.judge import AnyRivals, gathered
from tunesmith.runs.labels.predict import Floats


def measured_images(
    setup: ImageSetup,
    artefact: Path,
    in_memory_RC: Floats,
    frozen_RD: Floats | None,
    rivals: AnyRivals | None,
    course: Course,
) -> LabelMeasured:
    """Measure what was saved, opened afresh, and hold it against the outputs in memory."""
    saved = read_json(artefact / PREPROCESSOR)
    preparation = Preparation.of(saved, str(artefact / PREPROCESSOR))
    model, naming = open_images(artefact, setup.recipe, preparation)
    predictor = ImagePredictor(model, setup.gallery, setup.recipe.engine.images_per_micro_batch)
    rows = setup.held_out.judging
    measured = gathered(
        setup,
        predictor,
        naming,
        (),
        in_memory_RC,
        frozen_RD,
        rivals,
        course,
        len(rows) if preparation == setup.gallery.preparation else 0,
    )
    return replace(measured, held_out=_pictured(setup, measured.held_out))


def _pictured(setup: ImageSetup, rows: Sequence[Said]) -> tuple[Said, ...]:
    """With the paths of all, and the pictures of those rows that the report shows."""
    rows = [replace(row, text=setup.files[row.origin]) for row in rows]
    shown = {row.origin for row in (*wrong_of(rows)[:SHOWN], *right_of(rows)[:SHOWN])}
    numbers = {row.origin: row for row in setup.held_out.judging}
    return tuple(
        replace(row, picture=data_uri(setup.gallery.resized(numbers[row.origin])))
        if row.origin in shown
        else row
        for row in rows
    )
