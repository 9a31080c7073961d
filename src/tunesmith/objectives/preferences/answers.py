"""What a model gives whole answers: the log-likelihood of each, and its log-ratio to a reference.

    log p(y | x) = Σ_{s ∈ y} w_s log p(y_s | x, y_<s)      |y| = Σ_{s ∈ y} w_s

Shapes: S sites, B answers of a batch, P pairs of them. Sites stand in the order of the answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tunesmith.core.batch import Batch
from tunesmith.core.ports import SiteModel
from tunesmith.objectives.cross_entropy import nll_at_sites

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Answers:
    """Some answers: their log-likelihoods in nats, those under the reference, their tokens.

    All are float32 of shape (B,); `reference` is None where no reference was given.
    """

    log_p: Tensor
    reference: Tensor | None
    tokens: Tensor

    @property
    def log_ratio(self) -> Tensor:
        """log p(y | x) − log p_ref(y | x): over β it is DPO's implicit reward."""
        assert self.reference is not None, "this loss needs Batch.reference_S"
        return self.log_p - self.reference

    def where(self, chosen: Tensor | slice) -> Answers:
        """Those that a mask or a slice chooses."""
        reference = None if self.reference is None else self.reference[chosen]
        return Answers(self.log_p[chosen], reference, self.tokens[chosen])


def answers_of(model: SiteModel, batch: Batch) -> Answers:
    """The answers of a batch, with a gradient."""
    weights_S: Tensor = batch.weights_S
    log_p_S = -nll_at_sites(model, batch)
    return Answers(
        log_p=sum_of_each(log_p_S * weights_S, batch),
        reference=None
        if batch.reference_S is None
        else sum_of_each(batch.reference_S * weights_S, batch),
        tokens=tokens_of(batch),
    )


def totals(named: Mapping[str, Tensor]) -> dict[str, float]:
    """The sum of each over all answers, fetched from the device at once."""
    sums = torch.stack([values.detach().float().sum() for values in named.values()])
    return dict(zip(named, sums.tolist(), strict=True))


def tokens_of(batch: Batch) -> Tensor:
    """|y| of each answer of a batch, (B,)."""
    return sum_of_each(batch.weights_S, batch)


def sum_of_each(values_S: Tensor, batch: Batch) -> Tensor:
    """The sum over the sites of each answer, (B,); in a fixed order, on accelerators too."""
    sites_B = torch.bincount(batch.owner_S, minlength=len(batch.origins))
    return torch.segment_reduce(values_S, "sum", lengths=sites_B)
