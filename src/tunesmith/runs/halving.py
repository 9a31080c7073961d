"""Successive halving: many candidates for a short while, the best third for three times as long.

Jamieson and Talwalkar 2016, Non-stochastic Best Arm Identification and Hyperparameter Optimization;
one bracket of Hyperband (Li et al. 2018). Here a candidate that goes on is trained anew, with its
schedule over all of the longer run: a loss in mid-schedule, at a high rate, says little of the loss
at its end. That costs at most half again as much as going on would.

It is written out rather than taken from Optuna: its pruners stop a trial while it runs, against
those that ran before, and never take up a trial again. Ours are runs with a plan, a schedule and
checkpoints of their own, compared when all of a rung are finished, and a search goes on after an
interruption from their folders, without a database.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.core.seeds import derive

TIMES = 3
"""What goes on is one in three, for three times as long."""

MOST_RUNGS = 3
"""The shortest runs take a ninth of their steps: shorter ones say little of long ones."""

MOST, FEWEST = 27, 3
"""Candidates: enough for three in full, and enough for a choice."""

RATES = 6.0
"""Learning rates are tried up to so many times above and below the one asked for."""

RANKS = (4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Values to try. `rank` is None where nothing has one; number 0 are the values asked for."""

    number: int
    learning_rate: float
    rank: int | None
    epochs: int


@dataclass(frozen=True, slots=True)
class Rung:
    """So many candidates, each for a share of its steps."""

    share: float
    count: int


def rungs_of(count: int) -> list[Rung]:
    """The rungs for so many candidates, the shortest first, the last in full."""
    levels = min(MOST_RUNGS, 1 + int(math.log(count, TIMES) + 1e-9))
    return [
        Rung(1 / TIMES ** (levels - 1 - level), math.ceil(count / TIMES**level))
        for level in range(levels)
    ]


def draw(asked: Candidate, count: int, seed: int) -> list[Candidate]:
    """The values asked for, and others around them, in all `count`.

    A Latin hypercube (McKay, Beckman and Conover 1979): rates stand evenly apart on their
    logarithmic scale, ranks and epochs occur equally often, and which meet is drawn.
    """
    others = count - 1
    random = np.random.default_rng(derive(seed, "search", count))
    place_N = (random.permutation(others) + 0.5) / max(1, others)
    rate_N = asked.learning_rate * RATES ** (2 * place_N - 1)
    ranks = RANKS if asked.rank is not None else (None,)
    epochs = sorted({max(1, asked.epochs // 2), asked.epochs, 2 * asked.epochs})
    rank_N, epoch_N = (
        random.permutation(np.arange(others) % len(each)) for each in (ranks, epochs)
    )
    drawn = zip(rate_N.tolist(), rank_N.tolist(), epoch_N.tolist(), strict=True)
    return [asked] + [
        Candidate(number, float(f"{rate:.3g}"), ranks[rank], epochs[epoch])
        for number, (rate, rank, epoch) in enumerate(drawn, start=1)
    ]


def as_many_as_fit(
    asked: Candidate, seed: int, seconds_of: Callable[[Candidate, float], float], budget: float
) -> list[Candidate]:
    """The most candidates whose rungs fit into `budget` seconds, FEWEST at least.

    `seconds_of` says what a candidate takes for a share of its steps.
    """
    for count in range(MOST, FEWEST, -1):
        candidates = draw(asked, count, seed)
        if foretold(candidates, seconds_of) <= budget:
            return candidates
    return draw(asked, FEWEST, seed)


def foretold(
    candidates: Sequence[Candidate], seconds_of: Callable[[Candidate, float], float]
) -> float:
    """Seconds of all rungs; which candidates go on is not known, so those are taken as the mean."""
    total = 0.0
    for rung in rungs_of(len(candidates)):
        mean = sum(seconds_of(each, rung.share) for each in candidates) / len(candidates)
        total += rung.count * mean
        if rung.count < len(candidates):  # the values asked for go on in any case
            total += seconds_of(candidates[0], rung.share)
    return total


def going_on(ranked: Sequence[Candidate], count: int) -> list[Candidate]:
    """The best `count` of the ranked candidates, and last the values asked for in any case.

    So that it is known in the end what the search has won.
    """
    best = list(ranked[:count])
    return best + [each for each in ranked[count:] if each.number == 0]
