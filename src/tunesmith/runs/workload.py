"""How much there is to compute: the batches of a run as amounts of work, before any is computed.

Batches are a pure function of (epoch, index), so what each step will hold is known beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from tunesmith.core.batch import ROOT, Batch
from tunesmith.core.ports import Batches
from tunesmith.models.forward import evened_size
from tunesmith.models.open import Described

LAID_OUT = 256
"""At most so many steps are laid out; a longer run is taken to be like these, evenly spread."""

OTHERS = 6
"""Micro-batches that are timed beside the typical and the largest."""
# Their order by size: neighbours differ, as in training.
_SHUFFLED = (5, 3, 1, 4, 2, 0)


class Work(NamedTuple):
    """What a forward pass over one or more micro-batches has to do.

    `micro` counts micro-batches, `tokens` the positions computed (padding and filling included),
    `pairs` the (query, key) pairs of attention, `sites` the rows of the vocabulary head.
    """

    micro: float = 0.0
    tokens: float = 0.0
    pairs: float = 0.0
    sites: float = 0.0

    def plus(self, other: Work) -> Work:
        """The sum of both."""
        return Work(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, factor: float) -> Work:
        """So many times as much."""
        return Work(*(factor * value for value in self))


class Shape(NamedTuple):
    """What the work of one token costs in a model: weights of the body and of the head, width.

    `weights` are those multiplied once a token (no embedding table), `layers` and `width` make up
    a pair of attention, `padded` says that segments are laid into a grid.
    """

    weights: int
    head: int
    layers: int
    width: int
    padded: bool

    def products(self, work: Work) -> float:
        """Multiplications of a forward pass: 1 a weight and token, 2 widths a pair and layer."""
        body = work.tokens * self.weights + work.pairs * 2 * self.layers * self.width
        return body + work.sites * self.head


def shape_of(
    described: Described, parameters: int, padded: bool, outputs: int | None = None
) -> Shape:
    """The shape of a model of `parameters` weights, whose head gives `outputs` numbers (None: one a
    token of the vocabulary)."""
    table = described.vocab_size * described.hidden_size
    head = table if outputs is None else outputs * described.hidden_size
    body = max(parameters - table, parameters // 20)
    return Shape(body, head, described.layers, described.hidden_size, padded)


def work_of(batch: Batch, padded: bool) -> Work:
    """The work of one micro-batch.

    A segment sees its ancestors and itself; half of the square below the diagonal is computed. In
    a padded grid every row is as long as the longest, and the square is whole.
    """
    reached: list[int] = []
    pairs = 0.0
    for start, end, parent in batch.segments:
        before = 0 if parent == ROOT else reached[parent]
        reached.append(before + end - start)
        pairs += (end - start) * (before + (end - start) / 2)
    sites = len(batch.sites_S)
    if not padded:
        return Work(1, evened_size(batch.tokens), pairs, sites)
    longest = max(reached)
    leaves = len(batch.segments) - len({segment.parent for segment in batch.segments} - {ROOT})
    return Work(1, leaves * longest, leaves * longest**2, sites)


def _of_whole_rows(parts_B: Any, count: int) -> int:
    """At most `count` sequences that are whole rows, each of which begins with its part 0."""
    ends = [place for place in range(1, len(parts_B)) if parts_B[place] == 0] + [len(parts_B)]
    return max([end for end in ends if end <= count], default=ends[0])


def first_segments(batch: Batch, count: int) -> Batch:
    """The batch of the first `count` segments alone: a smaller one of the same kind.

    Of texts that are trained together, a row's, all or none are kept; of the first row all.
    """
    labelled = batch.labels_B is not None
    # Where there are labels, or pictures, a segment is a sequence; else, or where prefixes are
    # shared, a sequence may be several, and those behind the cut stay without a site.
    alone = labelled and all(each.parent == ROOT for each in batch.segments)
    if alone and batch.parts_B is not None:
        count = _of_whole_rows(batch.parts_B, count)
    segments = batch.segments[:count]
    end = segments[-1].end
    kept_S = batch.sites_S < end
    of = slice(count if alone else None)
    known_RD = batch.features_RD  # of each sequence, else of each site

    def cut(shape: str, part: Any) -> dict[str, Any]:
        """The arrays of a shape, which their names end in."""
        names = [each.name for each in fields(batch) if each.name.endswith(shape)]
        given = {name: getattr(batch, name) for name in names}
        return {name: value[part] for name, value in given.items() if value is not None}

    return replace(
        batch,
        tokens_T=batch.tokens_T[:end],
        positions_T=batch.positions_T[:end],
        segments=segments,
        origins=batch.origins[of],
        images=batch.images and batch.images[:count],
        features_RD=known_RD if known_RD is None else known_RD[of if labelled else kept_S],
        **cut("_S", kept_S),
        **cut("_B", of),
    )


@dataclass(frozen=True, slots=True)
class Workload:
    """The work of a whole run: `total`, its steps, and micro-batches that stand for it.

    `tokens` are those counted by the steps' reports (padding is not). `typical` is a micro-batch
    of middle size, `largest` the one of most positions, `others` some more of all sizes; `shapes`
    counts the different sizes, `several` says that some step has more than one, `padded` that
    segments are laid into a grid.
    """

    steps: int
    total: Work
    tokens: int
    typical: Batch
    largest: Batch
    others: tuple[Batch, ...]
    shapes: int
    several: bool
    padded: bool

    @property
    def most(self) -> Work:
        """The work of the largest micro-batch."""
        return work_of(self.largest, self.padded)


def lay_out(batches: Batches, steps: int, padded: bool) -> Workload:
    """Lay out the steps of a run, or 256 of them evenly spread, and add up their work."""
    count = min(steps, LAID_OUT)
    total, tokens = Work(), 0
    sized: list[tuple[float, int, int]] = []
    for number in range(count):
        step = number * steps // count
        for micro, batch in enumerate(_step(batches, step)):
            work = work_of(batch, padded)
            total, tokens = total.plus(work), tokens + batch.tokens
            sized.append((work.tokens, step, micro))
    sized.sort()
    factor = steps / count

    def made(place: int) -> Batch:
        _, step, micro = sized[place]
        return _step(batches, step)[micro]

    return Workload(
        steps=steps,
        total=total.times(factor),
        tokens=round(tokens * factor),
        typical=made(len(sized) // 2),
        largest=made(-1),
        others=tuple(made(len(sized) * part // OTHERS) for part in _SHUFFLED),
        shapes=len({size for size, _, _ in sized}),
        several=any(micro > 0 for _, _, micro in sized),
        padded=padded,
    )


def _step(batches: Batches, step: int) -> Sequence[Batch]:
    """The micro-batches of optimiser step `step`, counted from 0 over all epochs."""
    return batches.step(step // batches.steps_per_epoch, step % batches.steps_per_epoch)
