"""Batches as a pure function of (seed, epoch, index): any step can be made again, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import lru_cache

import numpy as np

from tunesmith.core.batch import Batch
from tunesmith.core.records import Tokens
from tunesmith.core.seeds import derive
from tunesmith.data.contexts import draw_together, find_contexts
from tunesmith.data.mixing import Mix
from tunesmith.data.pack import pack, within_budget


class PackedBatches:
    """Examples in a new order each epoch, `batch_size` of them to an optimiser step.

    An epoch sees each once, or as often as `mix` says, which also says what an example is: one of
    `examples`, or all those of a row.

    The examples of a step are packed into micro-batches of at most `tokens_per_micro_batch`
    tokens; with `share` those with a common prefix meet there and it is laid down once. With
    `together` rows on one context are drawn into one step. With `shuffle` off the order of the
    examples is kept (a curriculum). The last step of an epoch may be smaller. `lay` makes a batch
    of examples, with the prefix shared or not; with `whole` it is given all those of a row, or
    none.
    """

    def __init__(
        self,
        examples: Sequence[Tokens],
        *,
        batch_size: int,
        tokens_per_micro_batch: int,
        seed: int,
        shuffle: bool = True,
        share: bool = True,
        together: bool = False,
        mix: Mix | None = None,
        lay: Callable[[Sequence[Tokens], bool], Batch] = pack,
        whole: bool = False,
    ) -> None:
        self.mix = mix or Mix.once(len(examples))
        self._examples = examples
        self._batch_size = batch_size
        self._budget = tokens_per_micro_batch
        self._seed = seed
        self._shuffle = shuffle
        self._share = share
        self._lay = lay
        self._whole = whole
        self._groups = find_contexts(examples).groups if together and shuffle else ()
        self._order = lru_cache(maxsize=2)(self._draw_order)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch: its examples over `batch_size`, rounded up."""
        return -(-self.mix.epoch_size // self._batch_size)

    @property
    def tokens_per_micro_batch(self) -> int:
        """The budget of a micro-batch in tokens."""
        return self._budget

    def within(self, tokens_per_micro_batch: int) -> PackedBatches:
        """The same examples in the same order, in micro-batches of at most so many tokens."""
        other = copy(self)
        other._budget = tokens_per_micro_batch
        return other

    def step(self, epoch: int, index: int) -> list[Batch]:
        """The micro-batches of step `index` of `epoch`, both counted from 0."""
        examples = self.examples(epoch, index)
        return [
            self._lay([examples[i] for i in run], self._share)
            for run in within_budget(examples, self._budget, self._share, self._whole)
        ]

    def examples(self, epoch: int, index: int) -> list[Tokens]:
        """What step `index` of `epoch` trains on."""
        start = index * self._batch_size
        chosen = self._order(epoch)[start : start + self._batch_size]
        return [self._examples[i] for each in chosen for i in self.mix.sequences(int(each))]

    def _draw_order(self, epoch: int) -> np.ndarray:
        example_M = self.mix.examples(self._seed, epoch, in_order=not self._shuffle)
        if not self._shuffle:
            return example_M
        random = np.random.default_rng(derive(self._seed, "order", epoch))
        if not self._groups:
            return example_M[random.permutation(len(example_M))]
        return draw_together(random, self._groups, example_M, self._batch_size)
