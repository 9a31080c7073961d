"""Batches as a pure function of (seed, epoch, index): any step can be made again, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tunesmith.core.batch import Batch
from tunesmith.core.records import Tokens
from tunesmith.core.seeds import derive
from tunesmith.data.pack import pack, within_budget


class PackedBatches:
    """Examples in a new order each epoch, `batch_size` of them to an optimiser step.

    The examples of a step are packed into micro-batches of at most `tokens_per_micro_batch`
    tokens. With `shuffle` off the order of the examples is kept (a curriculum). The last step of
    an epoch may be smaller.
    """

    def __init__(
        self,
        examples: Sequence[Tokens],
        *,
        batch_size: int,
        tokens_per_micro_batch: int,
        seed: int,
        shuffle: bool = True,
    ) -> None:
        self._examples = examples
        self._batch_size = batch_size
        self._budget = tokens_per_micro_batch
        self._seed = seed
        self._shuffle = shuffle
        self._order = lru_cache(maxsize=2)(self._draw_order)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the examples."""
        return -(-len(self._examples) // self._batch_size)

    def step(self, epoch: int, index: int) -> list[Batch]:
        """The micro-batches of step `index` of `epoch`, both counted from 0."""
        start = index * self._batch_size
        chosen = self._order(epoch)[start : start + self._batch_size]
        examples = [self._examples[int(i)] for i in chosen]
        return [pack(run) for run in within_budget(examples, self._budget)]

    def _draw_order(self, epoch: int) -> np.ndarray:
        if not self._shuffle:
            return np.arange(len(self._examples))
        return np.random.default_rng(derive(self._seed, "order", epoch)).permutation(
            len(self._examples)
        )
