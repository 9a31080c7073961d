"""The Batches port over answers that are made as the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

from tunesmith.core.batch import Batch
from tunesmith.data import PackedBatches
from tunesmith.runs.reinforce.experience import Experience


class RolloutBatches:
    """Each round of answers, `updates` times.

    A step is a pure function of (epoch, index) and of the weights that the steps before it left:
    rounds are kept by `collect`, so that any of them can be made again.

    Args:
        prompts: which prompts a round has, by epoch and index.
        collect: the answers of a round, by its number over all epochs.
        lay: micro-batches of at most so many tokens of them.
        updates: optimiser steps to a round.
        budget: tokens of a micro-batch.
    """

    def __init__(
        self,
        prompts: PackedBatches,
        collect: Callable[[int], Experience],
        lay: Callable[[Experience, int], Sequence[Batch]],
        updates: int,
        budget: int,
    ) -> None:
        self._prompts = prompts
        self._collect = collect
        self._lay = lay
        self._updates = updates
        self._budget = budget
        self._last: list[tuple[int, Experience]] = []

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the prompts."""
        return self._prompts.steps_per_epoch * self._updates

    @property
    def tokens_per_micro_batch(self) -> int:
        """The budget of a micro-batch in tokens."""
        return self._budget

    def within(self, tokens_per_micro_batch: int) -> RolloutBatches:
        """The same rounds in micro-batches of at most so many tokens."""
        other = copy(self)
        other._budget = tokens_per_micro_batch
        return other

    def step(self, epoch: int, index: int) -> Sequence[Batch]:
        """The micro-batches of a step; its answers are sampled now unless they are known."""
        number = (epoch * self.steps_per_epoch + index) // self._updates
        if not self._last or self._last[0][0] != number:
            self._last[:] = [(number, self._collect(number))]
        return self._lay(self._last[0][1], self._budget)

    def experience(self, step: int) -> Experience:
        """That of an optimiser step, counted from 0, which was made just now."""
        number, found = self._last[0]
        assert number == step // self._updates
        return found
