"""Asking a finished run for the labels of images: paths in, one answer each out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.core.files import read_json
from tunesmith.core.records import Example, ImageLabel, Origin, Tokens
from tunesmith.data.images.batches import Gallery
from tunesmith.data.images.decode import decoded
from tunesmith.data.images.pixels import Pixels
from tunesmith.data.images.preparation import Preparation
from tunesmith.data.images.render import place_of
from tunesmith.data.refusals import Refused
from tunesmith.models.vision import PREPROCESSOR
from tunesmith.runs.images.predict import ImagePredictor
from tunesmith.runs.images.tuned import open_images
from tunesmith.runs.labels.ask import Answer, answers
from tunesmith.runs.open import Run


class ImageLabeller:
    """The tuned image model of a finished run, opened from disk. Raises as `open_images`."""

    field = "image"

    def __init__(self, run: Run) -> None:
        where = run.artefact / PREPROCESSOR
        self._preparation = Preparation.of(read_json(where), str(where))
        self._model, self._naming = open_images(run.artefact, run.recipe, self._preparation)
        self._at_once = int(run.recipe.engine.images_per_micro_batch)

    def label(self, texts: Sequence[tuple[Origin, str]]) -> list[Answer]:
        """One answer an image, in order; a path is read from the folder of the file it stands in.

        Raises DataError naming an image that cannot be used.
        """
        if not texts:
            return []
        images = [self._resized(origin, path) for origin, path in texts]
        none_N = np.zeros(1, dtype=np.int32)
        rows = [Tokens(origin, none_N, none_N.astype(np.float32), 0) for origin, _ in texts]
        numbers = {row.origin: number for number, row in enumerate(rows)}
        gallery = Gallery(Pixels.of(images), numbers, self._preparation)
        found = ImagePredictor(self._model, gallery, self._at_once).outputs(rows)
        return answers(found, self._naming)

    def _resized(self, origin: Origin, path: str) -> np.ndarray:
        example = Example(origin, ImageLabel(path, ""))
        try:
            return self._preparation.resized(decoded(place_of(example)))
        except Refused as refused:
            raise DataError(f"{origin}: {refused}") from None
