"""Exposure of planted secrets: how far the model prefers each to random ones of the same form.

Nicholas Carlini et al., "The Secret Sharer: evaluating and testing unintended memorization in
neural networks" (USENIX Security 2019). With R all possible secrets and the rank of one among them
by the model's log-likelihood, definition 4 is

    exposure(s) = log2 |R| - log2 rank(s).

R cannot be enumerated, so it is approximated by sampling (section 4.3): the rank is taken among
some random secrets, which bounds what can be seen by log2 of their number. A secret that was never
trained on is as likely to have any rank, so its exposure is log2 e = 1.44 bits on average.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.ports import Sampler, Scorer
from tunesmith.core.records import Canary, Score, Tokens

_ROOM = 8
"""Tokens beside those of the secret that an answer may have."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """What the model makes of one secret.

    An epoch held it `repeats` times; 0 is a control. Of `ranked` secrets, itself and random ones,
    it is number `rank` by likelihood. `recalled` says that the greedy answer told it.
    """

    origin: str
    repeats: int
    rank: int
    ranked: int
    recalled: bool

    @property
    def bits(self) -> float:
        """The exposure, 0 to log2(ranked)."""
        return math.log2(self.ranked / self.rank)


def measure_exposure(
    scorer: Scorer, sampler: Sampler, canaries: Sequence[Canary]
) -> tuple[Exposed, ...]:
    """Rank every secret among its alternatives, and let the model go on from its prompt greedily.

    Where an alternative is exactly as likely as the secret, it counts as likelier.
    """
    if not canaries:
        return ()
    room = max(len(each.tokens) - len(each.prompt.ids_N) for each in canaries) + _ROOM
    answers = sampler.answer([each.prompt for each in canaries], room)
    return tuple(
        Exposed(
            origin=str(canary.origin),
            repeats=canary.repeats,
            rank=_rank(scorer.score([canary.tokens, *canary.alternatives])),
            ranked=1 + len(canary.alternatives),
            recalled=canary.secret in answer,
        )
        for canary, answer in zip(canaries, answers, strict=True)
    )


def to_score(canaries: Sequence[Canary]) -> list[Tokens]:
    """Every row that `measure_exposure` scores, for those who foresee what it costs."""
    return [row for each in canaries for row in (each.tokens, *each.alternatives)]


def planted(found: Sequence[Exposed]) -> int:
    """How many of the secrets are in the weights."""
    return sum(each.repeats > 0 for each in found)


def _rank(scores: Sequence[Score]) -> int:
    own, *others = (score.nll for score in scores)
    return 1 + sum(other <= own for other in others)
