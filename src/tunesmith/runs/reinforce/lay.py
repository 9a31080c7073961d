"""From a round of answers to micro-batches: each answer behind its prompt, which is laid down once.

An answer that was neither better nor worse than expected moves no weight, so it is counted and not
computed, unless something else (a critic, the KL, a teacher) is learned from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.core.batch import Batch
from tunesmith.core.records import Tokens
from tunesmith.data.pack import pack, within_budget
from tunesmith.objectives.reinforcement import VARIANTS
from tunesmith.objectives.reinforcement.advantages import Floats, of_tokens, whitened
from tunesmith.objectives.reinforcement.policy import count_of
from tunesmith.recipe import RolloutsSection
from tunesmith.runs.reinforce.experience import Experience, Tried


@dataclass(frozen=True, slots=True)
class Learned:
    """An answer as it is learned: its sequence, and what each of its tokens brought."""

    tried: Tried
    tokens: Tokens
    advantages_N: Floats
    returns_N: Floats | None = None


class Layer:
    """Makes micro-batches of a round; `name` is a line of `VARIANTS`, `share` lays prompts down
    once, `taught` says that a teacher looks at every answer."""

    def __init__(
        self, asked: RolloutsSection, name: str, share: bool, *, taught: bool = False
    ) -> None:
        self._asked = asked
        self._taught = taught
        self._variant = VARIANTS[name]
        self._share = share

    def __call__(self, experience: Experience, budget: int) -> list[Batch]:
        """Micro-batches of at most `budget` tokens, unless one answer has more."""
        graded = [each for each in experience.tried if each.advantage is not None]
        rows = self._with_critic(graded) if self._variant.baseline == "critic" else None
        learned = rows or [self._alike(each) for each in graded]
        near_base = bool(self._asked.kl_weight and self._asked.kl_in == "loss")
        every = rows is not None or near_base or self._taught
        computed = [each for each in learned if every or each.tried.advantage] or learned[:1]
        runs = within_budget([each.tokens for each in computed], budget, self._share)
        batches = [self._batch([computed[i] for i in run]) for run in runs]
        missing = self._count(learned) - self._count(computed)
        return [replace(batches[0], count=count_of(batches[0]) + missing), *batches[1:]]

    def _alike(self, tried: Tried) -> Learned:
        """All tokens of an answer have its advantage."""
        assert tried.advantage is not None
        count = len(tried.rollout.ids_N)
        return Learned(tried, self._tokens(tried), np.full(count, tried.advantage))

    def _with_critic(self, graded: Sequence[Tried]) -> list[Learned]:
        """Each token has an advantage of its own, against what the critic expected."""
        found = [self._of_tokens(each) for each in graded]
        even = whitened([advantages_N for advantages_N, _ in found])
        return [
            Learned(each, self._tokens(each), advantages_N, returns_N)
            for each, advantages_N, (_, returns_N) in zip(graded, even, found, strict=True)
        ]

    def _of_tokens(self, tried: Tried) -> tuple[Floats, Floats]:
        assert tried.values_N is not None
        assert tried.grade.value is not None
        rewards_N = np.zeros(len(tried.rollout.ids_N))
        if tried.reference_N is not None:
            left_N = tried.rollout.log_probs_N.astype(np.float64) - tried.reference_N
            rewards_N -= self._asked.kl_weight * left_N
        rewards_N[-1] += tried.grade.value
        values_N = tried.values_N.astype(np.float64)
        return of_tokens(rewards_N, values_N, self._asked.discount, self._asked.trace)

    def _tokens(self, tried: Tried) -> Tokens:
        ids_N = tried.whole()
        length = len(tried.rollout.ids_N)
        weights_N = np.zeros(len(ids_N), dtype=np.float32)
        parts = {"own_length": length, "longest": self._asked.max_new_tokens, "one": 1}
        weights_N[-length:] = 1 / parts[self._variant.weight]
        return Tokens(tried.prompt.origin, ids_N, weights_N, 0)

    def _count(self, learned: Sequence[Learned]) -> float:
        if self._variant.over_tokens:
            return float(sum(len(each.advantages_N) for each in learned))
        return float(len(learned))

    def _batch(self, learned: Sequence[Learned]) -> Batch:
        """Sites stand in the order of the answers."""
        tried = [each.tried for each in learned]
        again = self._asked.updates > 1
        return replace(
            pack([each.tokens for each in learned], self._share),
            count=self._count(learned),
            advantages_S=_joined([each.advantages_N for each in learned]),
            sampled_S=_joined([each.rollout.log_probs_N for each in tried]) if again else None,
            reference_S=_joined([each.reference_N for each in tried]),
            values_S=_joined([each.values_N for each in tried]),
            returns_S=_joined([each.returns_N for each in learned]),
        )


def _joined(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """One behind the other, as float32; None where there are none."""
    present = [array for array in arrays if array is not None]
    return np.concatenate(present).astype(np.float32) if present else None
