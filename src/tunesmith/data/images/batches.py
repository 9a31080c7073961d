"""Batches of images as a pure function of (seed, epoch, index), variations included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import lru_cache

import numpy as np

from tunesmith.core.batch import ImageBatch
from tunesmith.core.records import Origin, Tokens
from tunesmith.core.seeds import derive
from tunesmith.data.classes import Targets
from tunesmith.data.images.pixels import Pixels
from tunesmith.data.images.preparation import Preparation
from tunesmith.data.images.views import STRENGTHS, Augment, view
from tunesmith.data.mixing import Mix


class Gallery:
    """The prepared images of a run by the origins of their rows.

    Args:
        pixels: all of them.
        number: which is whose.
        preparation: how they are seen.
    """

    def __init__(
        self, pixels: Pixels, number: Mapping[Origin, int], preparation: Preparation
    ) -> None:
        self._pixels, self._number = pixels, dict(number)
        self.preparation = preparation

    def number(self, row: Tokens) -> int:
        """Of a row's image, from 0."""
        return self._number[row.origin]

    def resized(self, row: Tokens) -> np.ndarray:
        """A row's image with what stands around the part that the base sees: uint8, (H, W, 3)."""
        return self._pixels.image(self.number(row))

    def plain(self, rows: Sequence[Tokens]) -> ImageBatch:
        """The images as the base sees them, without labels."""
        seen = [self.preparation.middle(self.resized(row)) for row in rows]
        return ImageBatch(_stacked(seen), tuple(row.origin for row in rows))

    def varied(self, row: Tokens, augment: Augment, seed: int) -> np.ndarray:
        """A row's image, varied as `seed` says: uint8, (height, width, 3)."""
        if augment == "none":
            return self.preparation.middle(self.resized(row))
        size = self.preparation.height, self.preparation.width
        return view(self.resized(row), size, STRENGTHS[augment], np.random.default_rng(seed))


class ImageBatches:
    """Images in a new order each epoch, `batch_size` of them to an optimiser step.

    The images of a step are computed `per_micro_batch` at a time, which changes no result. An epoch
    sees each row once, or as often as `mix` says, and each time in another variation, drawn from
    seed, epoch and place in the epoch. With `features_RD` (of the images by number) nothing is
    decoded or varied: what the frozen part makes of each image is known.
    """

    def __init__(
        self,
        rows: Sequence[Tokens],
        gallery: Gallery,
        targets: Targets,
        *,
        batch_size: int,
        per_micro_batch: int,
        seed: int,
        augment: Augment = "none",
        shuffle: bool = True,
        mix: Mix | None = None,
        features_RD: np.ndarray | None = None,
    ) -> None:
        self._rows, self._gallery, self._targets = rows, gallery, targets
        self._batch_size, self._per_micro_batch = batch_size, per_micro_batch
        self._seed, self._augment, self._shuffle = seed, augment, shuffle
        self.mix = mix or Mix.once(len(rows))
        self._features_RD = features_RD
        self._order = lru_cache(maxsize=2)(self._draw_order)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch: its images over `batch_size`, rounded up."""
        return -(-self.mix.epoch_size // self._batch_size)

    @property
    def tokens_per_micro_batch(self) -> int:
        """The most images of a micro-batch: the loop counts in what a batch counts in."""
        return self._per_micro_batch

    def within(self, tokens_per_micro_batch: int) -> ImageBatches:
        """The same steps, in micro-batches of at most so many images."""
        other = copy(self)
        other._per_micro_batch = tokens_per_micro_batch
        return other

    def step(self, epoch: int, index: int) -> list[ImageBatch]:
        """The micro-batches of step `index` of `epoch`, both counted from 0."""
        first = index * self._batch_size
        chosen = self._order(epoch)[first : first + self._batch_size].tolist()
        placed = list(enumerate(chosen, start=first))
        size = self._per_micro_batch
        return [
            self._batch(epoch, placed[start : start + size])
            for start in range(0, len(placed), size)
        ]

    def _batch(self, epoch: int, placed: Sequence[tuple[int, int]]) -> ImageBatch:
        rows = [self._rows[number] for _, number in placed]
        origins = tuple(row.origin for row in rows)
        labels_B = np.stack([self._targets.of(row.labels) for row in rows])
        if self._features_RD is not None:
            known_BD = self._features_RD[[self._gallery.number(row) for row in rows]]
            return ImageBatch(None, origins, labels_B, known_BD)
        seen = [
            self._gallery.varied(row, self._augment, derive(self._seed, "view", epoch, place))
            for (place, _), row in zip(placed, rows, strict=True)
        ]
        return ImageBatch(_stacked(seen), origins, labels_B)

    def _draw_order(self, epoch: int) -> np.ndarray:
        example_M = self.mix.examples(self._seed, epoch, in_order=not self._shuffle)
        if not self._shuffle:
            return example_M
        random = np.random.default_rng(derive(self._seed, "order", epoch))
        return example_M[random.permutation(len(example_M))]


def _stacked(images: Sequence[np.ndarray]) -> np.ndarray:
    """(B, 3, H, W), uint8."""
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
