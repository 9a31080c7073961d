"""What a model says of answers that are there already: their log-probabilities, their values.

The base looks at them with the adapter switched off, so that it needs no second copy; the trainer
looks at the first of them to see that it would have drawn them as the sampler did.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tunesmith.core.batch import Batch
from tunesmith.core.errors import Unsupported
from tunesmith.core.ports import SiteModel
from tunesmith.core.records import Tokens
from tunesmith.evaluate.on_policy import gap_between
from tunesmith.objectives.reinforcement.policy import log_probs
from tunesmith.runs.of_sites import Floats, OfSites, of_each
from tunesmith.runs.reinforce.experience import Tried


class LookBack:
    """Looks at answers, `budget` tokens at a time; `share` lays a prompt down once."""

    def __init__(self, budget: int, share: bool, device: torch.device) -> None:
        self._budget = budget
        self._share = share
        self._device = device

    def log_probs(
        self, model: SiteModel, tried: Sequence[Tried], temperature: float
    ) -> list[Floats]:
        """Of the tokens of each answer, in nats, as `model` would draw them."""

        def of_sites(batch: Batch) -> torch.Tensor:
            hidden_SD = model.hidden_at_sites(batch)
            return log_probs(model, hidden_SD, batch.targets_S, temperature)

        return self.each(of_sites, tried)

    def each(self, of_sites: OfSites, tried: Sequence[Tried]) -> list[Floats]:
        """What `of_sites` makes of the tokens of each answer, in order."""
        rows = [_tokens(each) for each in tried]
        return of_each(of_sites, rows, self._budget, self._share, self._device)


def require_on_policy(tried: Sequence[Tried], again: Sequence[Floats], dtype: str) -> str:
    """A sentence with how far sampler and trainer are apart on the same answers.

    Raises:
        Unsupported: further than rounding can explain.
    """
    sampled_N = np.concatenate([each.rollout.log_probs_N for each in tried])
    gap = gap_between(sampled_N, np.concatenate(again))
    if refusal := gap.refusal(dtype):
        raise Unsupported(refusal)
    return (
        f"Sampler and trainer are one policy: they differ by {gap.mean:.2g} nats a token on the "
        f"first {len(tried)} answers."
    )


def _tokens(tried: Tried) -> Tokens:
    ids_N = tried.whole()
    weights_N = np.zeros(len(ids_N), dtype=np.float32)
    weights_N[-len(tried.rollout.ids_N) :] = 1
    return Tokens(tried.prompt.origin, ids_N, weights_N, 0)
