"""Cross entropy held near the base: at each site the base's own prediction is a target, too.

    L = Σ_s w_s · [ −log q_s(y_s) + λ KL(p_s ‖ q_s) ]        count = Σ_s w_s

    KL(p ‖ q) = Σ_v p_v (log p_v − log q_v)
    ∂L/∂z_s = w_s [ (q_s − onehot(y_s)) + λ (q_s − p_s) ]    (logits z of q; p is a constant)

with p the base's distribution over the vocabulary at a site and q the tuned model's. It is
distillation from the base (Li and Hoiem 2016, Learning without Forgetting, eq. 2), in the direction
of the drift that the verdict measures: what the base held likely must stay likely. (Ziegler et al.
2019 penalise KL(q ‖ p), which is what a model's own samples can estimate.)

It acts at the sites of all rows that are learned. Their states are there already, so the head costs
one product more; and what is replayed is where the base is to be kept, so there the whole
distribution is learned instead of the one token that the base happened to write. Of the task it
takes little: the best q is (onehot(y) + λ p)/(1 + λ), so no token loses more than log(1 + λ) nats.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch.nn.functional import cross_entropy, kl_div, linear
from torch.utils.checkpoint import checkpoint

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import SiteModel
from tunesmith.objectives.linear_head import Head, cached, filled, weighted_sum

AsBase = Callable[[], AbstractContextManager[object]]
"""Within it, the model that is trained is the base: its first weights, and nothing dropped out."""

# Sites per call of a head that is more than a linear map.
_CHUNK = 512


class KlToBase:
    """Shapes: sites S, width D, vocabulary V; logits exist for one chunk of sites at a time.

    The base is run first, without a gradient: its hidden states at the sites are kept.
    """

    def __init__(self, weight: float, as_base: AsBase) -> None:
        self._weight = weight
        self._as_base = as_base

    def loss(self, model: SiteModel, batch: Batch) -> LossSum:
        """The weighted sum in nats, the sum of weights, and the weighted sum of the KL alone."""
        with torch.no_grad(), self._as_base():
            base_SD = model.hidden_at_sites(batch)
            base_head = _detached(model.linear_head)
        hidden_SD, head = model.hidden_at_sites(batch), model.linear_head
        if head is None or base_head is None:
            total, kl_S = self._through_any_head(model, hidden_SD, base_SD, batch)
        else:
            total, kl_S = self._through_linear_heads(hidden_SD, head, base_SD, base_head, batch)
        return LossSum(
            sum=total,
            count=float(batch.weights_S.sum()),
            extras={"kl_to_base": float(kl_S @ batch.weights_S)},
        )

    def _through_linear_heads(
        self,
        hidden_SD: torch.Tensor,
        head: Head,
        base_SD: torch.Tensor,
        base_head: Head,
        batch: Batch,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        sites, base_SD, targets_S = len(base_SD), filled(base_SD), filled(batch.targets_S)
        kl_S = torch.empty(len(base_SD), device=base_SD.device)

        def of_sites(rows: slice, logits_CV: torch.Tensor) -> torch.Tensor:
            base_CV = linear(base_SD[rows], *base_head)
            nll_C, kl_S[rows] = _then_derivative(logits_CV, base_CV, targets_S[rows], self._weight)
            return nll_C + self._weight * kl_S[rows]

        weights_S = filled(batch.weights_S)
        total = weighted_sum(filled(hidden_SD), head, weights_S, of_sites, at_once=2)
        return total, kl_S[:sites]

    def _through_any_head(
        self, model: SiteModel, hidden_SD: torch.Tensor, base_SD: torch.Tensor, batch: Batch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits of each chunk are made again in the backward pass."""
        total, kls = hidden_SD.new_zeros((), dtype=torch.float32), []
        for start in range(0, len(hidden_SD), _CHUNK):
            rows = slice(start, start + _CHUNK)
            arrays = (hidden_SD, base_SD, batch.targets_S, batch.weights_S)
            part, kl_C = checkpoint(
                self._of_chunk, model, *(array[rows] for array in arrays), use_reentrant=False
            )
            total = total + part
            kls.append(kl_C.detach())
        return total, torch.cat(kls)

    def _of_chunk(
        self,
        model: SiteModel,
        hidden_CD: torch.Tensor,
        base_CD: torch.Tensor,
        targets_C: torch.Tensor,
        weights_C: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad(), self._as_base():
            base_CV = model.head(base_CD).float().log_softmax(1)
        logits_CV = model.head(hidden_CD).float()
        nll_C = cross_entropy(logits_CV, targets_C, reduction="none")
        kl_CV = kl_div(logits_CV.log_softmax(1), base_CV, reduction="none", log_target=True)
        kl_C = kl_CV.sum(1)
        return (nll_C + self._weight * kl_C) @ weights_C, kl_C


def _detached(head: Head | None) -> Head | None:
    """The head's tensors as they are now, whatever their parameters become."""
    if head is None:
        return None
    weight_VD, bias_V = head
    return weight_VD.detach(), None if bias_V is None else bias_V.detach()


def _then_derivative(
    logits_CV: torch.Tensor, base_CV: torch.Tensor, targets_C: torch.Tensor, weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """−log q of each target and KL(p ‖ q), float32, shapes (C,).

    `logits_CV` become the derivative of their weighted sum in place. Both softmaxes are taken in
    float32, a few rows at a time, so that they stay in the cache.
    """
    nll_C, kl_C = (logits_CV.new_empty(len(logits_CV), dtype=torch.float32) for _ in range(2))
    for rows in cached(logits_CV):
        log_q_BV, log_p_BV = (each[rows].float().log_softmax(1) for each in (logits_CV, base_CV))
        target_B1 = targets_C[rows, None]
        nll_C[rows] = -log_q_BV.gather(1, target_B1)[:, 0]
        p_BV = log_p_BV.exp()
        kl_C[rows] = log_p_BV.sub_(log_q_BV).mul_(p_BV).sum(1)
        q_BV = log_q_BV.exp_()
        pull_BV = p_BV.sub_(q_BV).mul_(-weight)
        # q − 1 from the logarithm: a difference of two numbers near 1 would lose its digits.
        q_BV.scatter_(1, target_B1, torch.expm1(-nll_C[rows, None]))
        logits_CV[rows] = q_BV.add_(pull_BV)
    return nll_C, kl_C
