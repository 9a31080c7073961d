"""Sources mixed by weight: which of their examples each epoch sees, and how often.

A weight is how often an epoch sees each example of a source. Each source is a stream of passes
without end: every pass holds each of its examples once, in an order of its own, and an epoch takes
the next so many. So 2 is every example twice an epoch, 1.5 every example once and half of them once
more, and 0.5 half of them, the other half in the next epoch: drawn without replacement, no example
is seen again before all others of its source were. Which they are follows from the seed and the
number of the epoch alone, whatever the batch size.

How many an epoch takes is the weight times the number of examples, rounded to the nearest whole
number (halves upwards) and at least one, so that all epochs have as many steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from tunesmith.core.records import Finding
from tunesmith.core.seeds import derive
from tunesmith.data.sources import expand


class WeightedSource(Protocol):
    """A name with a weight, as a recipe has it where the weight is not 1."""

    @property
    def path(self) -> str:
        """A file, a folder or a pattern."""
        ...

    @property
    def weight(self) -> float:
        """How often an epoch sees each of its examples."""
        ...


class Mix:
    """The examples of an epoch, drawn from sources by weight.

    Args:
        source_N: the number of the source of each sequence, ascending.
        weights: by source, above 0.
        names: by source, for sentences.
        row_N: the number of the row of each sequence, ascending, where an example is all sequences
            of a row; None where each is one by itself.
    """

    def __init__(
        self,
        source_N: np.ndarray,
        weights: Sequence[float],
        names: Sequence[str] = (),
        row_N: np.ndarray | None = None,
    ) -> None:
        self._starts = np.arange(len(source_N)) if row_N is None else _firsts(row_N)
        self._ends = np.append(self._starts[1:], len(source_N))
        source_M = source_N[self._starts]
        self._members = [np.flatnonzero(source_M == source) for source in range(len(weights))]
        self._weights, self._names = weights, names
        self._taken = [
            max(1, math.floor(weight * len(members) + 0.5)) if len(members) else 0
            for members, weight in zip(self._members, weights, strict=True)
        ]

    @classmethod
    def once(cls, count: int) -> Mix:
        """Each of so many examples once an epoch."""
        return cls(np.zeros(count, dtype=np.int64), (1.0,))

    def sequences(self, example: int) -> range:
        """The numbers of the sequences that an example is."""
        return range(int(self._starts[example]), int(self._ends[example]))

    @property
    def epoch_size(self) -> int:
        """Examples that an epoch sees, each as often as it does."""
        return sum(self._taken)

    @cached_property
    def epochs_to_meet_all(self) -> int:
        """After how many epochs every example was seen."""
        return max((-(-len(m) // taken) for m, taken in self._sources()), default=1)

    def meets_again(self, epochs: int) -> bool:
        """Whether some example is seen twice in so many epochs."""
        return any(taken * epochs > len(members) for members, taken in self._sources())

    def per_epoch(self, value_N: np.ndarray) -> int:
        """The sum of a value of sequences over an epoch, in the mean over all epochs."""
        value_M = np.add.reduceat(value_N, self._starts) if len(value_N) else value_N
        sums = ((int(value_M[m].sum()), len(m), taken) for m, taken in self._sources())
        return round(sum(total * taken / members for total, members, taken in sums))

    def examples(self, seed: int, epoch: int, *, in_order: bool = False) -> np.ndarray:
        """The examples of an epoch (int64, M), counted from 0; ascending.

        With `in_order` no order is drawn: each source is read on from where the epoch before left
        it, and begun again at its end, and one source follows the other.
        """
        parts = [
            members[(epoch * taken + np.arange(taken)) % len(members)]
            if in_order
            else np.repeat(members, _times(seed, source, epoch * taken, taken, len(members)))
            for source, (members, taken) in enumerate(zip(self._members, self._taken, strict=True))
            if taken
        ]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    def sentences(self, epochs: int) -> list[str]:
        """What the weights come to in a run, one for each source whose weight is not 1."""
        columns = zip(self._names, self._weights, self._members, self._taken, strict=False)
        return [
            f"{name}: weight {weight:g}, so an epoch sees {taken:,} examples of its {len(m):,}"
            + (f", and all epochs together {taken * epochs:,}." if taken * epochs < len(m) else ".")
            for name, weight, m, taken in columns
            if weight != 1
        ]

    def _sources(self) -> Iterator[tuple[np.ndarray, int]]:
        """The examples of each source that has any, and how many an epoch takes."""
        return ((m, taken) for m, taken in zip(self._members, self._taken, strict=True) if taken)


def _firsts(row_N: np.ndarray) -> np.ndarray:
    """Where a row begins."""
    return np.flatnonzero(np.diff(row_N, prepend=-1))


def _times(seed: int, source: int, start: int, taken: int, size: int) -> np.ndarray:
    """How often each of `size` examples stands in a stretch of the source's stream (int64)."""
    times = np.zeros(size, dtype=np.int64)
    end = start + taken
    for number in range(start // size, -(-end // size)):
        first, last = max(start - number * size, 0), min(end - number * size, size)
        if last - first == size:
            times += 1
            continue
        order = np.random.default_rng(derive(seed, "source", source, number)).permutation(size)
        times[order[first:last]] += 1
    return times


@dataclass(frozen=True, slots=True)
class Sources:
    """What the names of training data stand for.

    `files` in order, each with the number of its source in `source_F`; a source has its name and
    its weight.
    """

    files: tuple[str, ...]
    findings: tuple[Finding, ...]
    source_F: np.ndarray
    names: tuple[str, ...]
    weights: tuple[float, ...]

    def mix(self, file_N: np.ndarray, planted: int = 0, row_N: np.ndarray | None = None) -> Mix:
        """The mix of examples, given the number of the file of each sequence, and that of its row
        where a row is one example.

        Behind them stand `planted` examples of no file, each seen once an epoch.
        """
        if not planted:
            return Mix(self.source_F[file_N], self.weights, self.names, row_N)
        source_N = np.append(self.source_F[file_N], np.full(planted, len(self.names)))
        return Mix(source_N, (*self.weights, 1.0), (*self.names, "canaries"))

    def by_file(self) -> dict[str, float]:
        """The weight of each file's rows."""
        return {f: self.weights[s] for f, s in zip(self.files, self.source_F, strict=True)}


def open_sources(named: Sequence[str | WeightedSource]) -> Sources:
    """The files of each source. Raises DataError as `expand` does."""
    names = [source if isinstance(source, str) else source.path for source in named]
    found = [expand([name]) for name in names]
    return Sources(
        files=tuple(file for each in found for file in each.files),
        findings=tuple(finding for each in found for finding in each.findings),
        source_F=np.repeat(np.arange(len(found)), [len(each.files) for each in found]),
        names=tuple(names),
        weights=tuple(1.0 if isinstance(source, str) else source.weight for source in named),
    )
