"""Asking a model that labels images: its features and its outputs for many rows, in batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tunesmith.core.batch import ImageBatch
from tunesmith.core.records import Tokens
from tunesmith.data.images.batches import Gallery
from tunesmith.engine.loop import on_device
from tunesmith.models.vision import VisionModel
from tunesmith.runs.labels.predict import Floats


class ImagePredictor:
    """Asks `model` as it stands about the images of rows, none of them varied.

    Args:
        model: in any mode.
        gallery: the images.
        images_per_batch: how many are computed at once.
        features_RD: what a frozen trunk makes of all images of the gallery, where that is known.
    """

    def __init__(
        self,
        model: VisionModel,
        gallery: Gallery,
        images_per_batch: int,
        features_RD: Floats | None = None,
    ) -> None:
        self._model, self._gallery = model, gallery
        self._size = images_per_batch
        self._features_RD = features_RD

    def features(self, rows: Sequence[Tokens]) -> Floats:
        """What the head reads of each image, (R, D) float32."""
        return self._asked(rows, head=False)

    def outputs(self, rows: Sequence[Tokens]) -> Floats:
        """What the head gives for each image, (R, C) float32."""
        return self._asked(rows, head=True)

    def _asked(self, rows: Sequence[Tokens], *, head: bool) -> Floats:
        self._model.eval()
        device = next(self._model.parameters()).device
        found = []
        for start in range(0, len(rows), self._size):
            batch = on_device(self._batch(rows[start : start + self._size]), device)
            with torch.inference_mode():
                values = self._model.features(batch)
                values = self._model.head(values) if head else values
            found.append(values.float().cpu().numpy())
        return np.concatenate(found)

    def _batch(self, rows: Sequence[Tokens]) -> ImageBatch:
        if self._features_RD is None:
            return self._gallery.plain(rows)
        known_BD = self._features_RD[[self._gallery.number(row) for row in rows]]
        return ImageBatch(None, tuple(row.origin for row in rows), None, known_BD)
