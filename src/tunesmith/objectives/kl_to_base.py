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
from functools import partial

import torch
from torch.nn.functional import cross_entropy, kl_div, linear

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import SiteModel
from tunesmith.objectives.beside import Pair, through_any_head, through_linear_head
from tunesmith.objectives.linear_head import Head, cached

AsBase = Callable[[], AbstractContextManager[object]]
"""Within it, the model that is trained is the base: its first weights, and nothing dropped out."""


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
            of_chunk = partial(self._of_chunk, model)
            total, kl_S = through_any_head(hidden_SD, base_SD, batch, of_chunk)
        else:
            of_sites = partial(_then_derivative, base_head, self._weight)
            total, kl_S = through_linear_head(hidden_SD, head, base_SD, batch, of_sites)
        return LossSum(
            sum=total,
            count=float(batch.weights_S.sum()),
            extras={"kl_to_base": float(kl_S @ batch.weights_S)},
        )

    def _of_chunk(
        self,
        model: SiteModel,
        hidden_CD: torch.Tensor,
        base_CD: torch.Tensor,
        targets_C: torch.Tensor,
    ) -> Pair:
        with torch.no_grad(), self._as_base():
            base_CV = model.head(base_CD).float().log_softmax(1)
        logits_CV = model.head(hidden_CD).float()
        nll_C = cross_entropy(logits_CV, targets_C, reduction="none")
        kl_CV = kl_div(logits_CV.log_softmax(1), base_CV, reduction="none", log_target=True)
        kl_C = kl_CV.sum(1)
        return nll_C + self._weight * kl_C, kl_C


def _detached(head: Head | None) -> Head | None:
    """The head's tensors as they are now, whatever their parameters become."""
    if head is None:
        return None
    weight_VD, bias_V = head
    return weight_VD.detach(), None if bias_V is None else bias_V.detach()


def _then_derivative(
    base_head: Head,
    weight: float,
    logits_CV: torch.Tensor,
    base_CD: torch.Tensor,
    targets_C: torch.Tensor,
) -> Pair:
    """−log q + `weight` · KL(p ‖ q), and the KL; `logits_CV` become the derivative of the former.

    Both softmaxes are taken in float32, a few rows at a time, so that they stay in the cache.
    """
    base_CV = linear(base_CD, *base_head)
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
    return nll_C + weight * kl_C, kl_C
