"""The beginning that is repeated most among many sequences: what sharing it would save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tunesmith.core.records import Tokens
from tunesmith.data.pack import MIN_SHARED, common_prefix, in_order_of_ids

MOST_ROWS, MOST_TOKENS = 16_384, 8_000_000
"""Of more than that, as many evenly spread sequences are looked at."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """A beginning, `ids_P`, that `sequences` of those `looked_at` have in common."""

    ids_P: np.ndarray
    sequences: int
    looked_at: int

    @property
    def saved(self) -> int:
        """Tokens that are not computed where it is computed once for all of them."""
        return (self.sequences - 1) * len(self.ids_P)


def most_repeated(examples: Sequence[Tokens], mean_tokens: float) -> Repeated | None:
    """The beginning that repeats the most tokens; None if none is worth sharing.

    That is the one with the largest (sequences − 1) · length, of at least `pack.MIN_SHARED`
    tokens. In the order of their ids neighbours share most, so it is the largest rectangle under
    the lengths that neighbours have in common, found in one pass with a stack of rising ones.

    Args:
        examples: sequences of tokens.
        mean_tokens: about how many tokens each has.
    """
    rows = _spread(len(examples), mean_tokens)
    chosen = [examples[row] for row in rows]
    order = in_order_of_ids(chosen)
    ids = [chosen[number].ids_N for number in order]
    common = [common_prefix(left, right) for left, right in pairwise(ids)]
    best, at, length = 0, 0, 0
    rising: list[tuple[int, int]] = []  # (where it begins, how much is in common from there on)
    for place, height in enumerate([*common, 0]):
        begin = place
        while rising and rising[-1][1] >= height:
            begin, above = rising.pop()
            if above >= MIN_SHARED and above * (place - begin) > best:
                best, at, length = above * (place - begin), begin, above
        rising.append((begin, height))
    if not best:
        return None
    return Repeated(ids[at][:length], best // length + 1, len(rows))


def _spread(total: int, mean_tokens: float) -> list[int]:
    """The numbers of the sequences that are looked at, evenly spread."""
    count = min(total, MOST_ROWS, max(2, int(MOST_TOKENS / max(1.0, mean_tokens))))
    return [number * total // count for number in range(count)]
