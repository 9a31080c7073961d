"""Distillation: at each site the teacher's whole prediction is a target, beside the token.

    L = Σ_s w_s · [ (1 − a) (−log q_s(y_s)) + a T² KL(p_s^T ‖ q_s^T) ]        count = Σ_s w_s

    q^T = softmax(z / T), p^T = softmax(v / T)      (logits z of the student, v of the teacher)
    ∂L/∂z_s = w_s [ (1 − a) (q_s − onehot(y_s)) + a T (q_s^T − p_s^T) ]

and the other way round, with the reverse divergence,

    KL(q_s^T ‖ p_s^T) in its place, and q_s^T (d_s − KL) for q_s^T − p_s^T,  d = log q^T − log p^T

Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network, eq. 1 to 4: a higher
temperature T shows what the teacher holds possible beside its first choice, and T² keeps the soft
targets' gradient as large as that of the tokens, whatever T is. (Their cross entropy with soft
targets and the KL here differ by the teacher's entropy, which has no gradient.)

The forward KL is dear where the student holds unlikely what the teacher does not, so a student that
is small spreads itself over all that; the reverse one where the student does what the teacher would
not, so it does some of it well (Gu et al. 2024, MiniLLM, §2.1; Agarwal et al. 2024, GKD, §3).
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch.nn.functional import cross_entropy, pad

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import SiteModel
from tunesmith.objectives.beside import Pair, through_any_head, through_linear_head
from tunesmith.objectives.linear_head import cached

Divergence = Literal["forward", "reverse"]


class Distillation:
    """Shapes: sites S, widths D, vocabulary V; logits exist for one chunk of sites at a time.

    `share` is a of the formula, 0 to 1, `temperature` T. The teacher's logits may be more or fewer
    than the student's where one of them is filled up: those that both have are compared.
    """

    def __init__(
        self,
        teacher: SiteModel,
        share: float,
        temperature: float,
        divergence: Divergence = "forward",
    ) -> None:
        self._teacher = teacher
        self._share = share
        self._temperature = temperature
        self._divergence = divergence

    def loss(self, model: SiteModel, batch: Batch) -> LossSum:
        """The weighted sum in nats, the sum of weights, and the weighted sum of the KL alone."""
        return self.of_states(model, model.hidden_at_sites(batch), batch)

    def of_states(self, model: SiteModel, hidden_SD: torch.Tensor, batch: Batch) -> LossSum:
        """The same, of the student's hidden states at the sites, which are there already."""
        with torch.no_grad():
            taught_SD = self._teacher.hidden_at_sites(batch)
        head = model.linear_head
        if head is None:
            of_chunk = partial(self._of_chunk, model)
            total, kl_S = through_any_head(hidden_SD, taught_SD, batch, of_chunk)
        else:
            of_sites = self._then_derivative
            total, kl_S = through_linear_head(hidden_SD, head, taught_SD, batch, of_sites)
        return LossSum(
            sum=total,
            count=float(batch.weights_S.sum()),
            extras={"kl_to_teacher": float(kl_S @ batch.weights_S)},
        )

    def _of_chunk(
        self,
        model: SiteModel,
        hidden_CD: torch.Tensor,
        taught_CD: torch.Tensor,
        targets_C: torch.Tensor,
    ) -> Pair:
        logits_CV = model.head(hidden_CD).float()
        log_p_CV = self._softened(self._taught(taught_CD, logits_CV.shape[1]))
        nll_C = cross_entropy(logits_CV, targets_C, reduction="none")
        shared = log_p_CV.shape[1]
        if self._divergence == "forward":
            log_q_CV = self._softened(logits_CV)[:, :shared]
            kl_C = (log_p_CV.exp() * (log_p_CV - log_q_CV)).sum(1)
        else:
            log_q_CV = self._softened(logits_CV[:, :shared])
            kl_C = (log_q_CV.exp() * (log_q_CV - log_p_CV)).sum(1)
        return self._mixed(nll_C, kl_C), kl_C

    def _taught(self, taught_CD: torch.Tensor, vocabulary: int) -> torch.Tensor:
        """The teacher's logits, of the first `vocabulary` tokens at most."""
        with torch.no_grad():
            logits_CV: torch.Tensor = self._teacher.head(taught_CD)[:, :vocabulary]
        return logits_CV

    def _softened(self, logits_CV: torch.Tensor) -> torch.Tensor:
        return (logits_CV.float() / self._temperature).log_softmax(1)

    def _mixed(self, nll_C: torch.Tensor, kl_C: torch.Tensor) -> torch.Tensor:
        return (1 - self._share) * nll_C + self._share * self._temperature**2 * kl_C

    def _then_derivative(
        self, logits_CV: torch.Tensor, taught_CD: torch.Tensor, targets_C: torch.Tensor
    ) -> Pair:
        """Loss and KL of each site; `logits_CV` become the derivative of the losses in place.

        All softmaxes are taken in float32, a few rows at a time, so that they stay in the cache.
        """
        taught_CV = self._taught(taught_CD, logits_CV.shape[1])
        nll_C, kl_C = (logits_CV.new_empty(len(logits_CV), dtype=torch.float32) for _ in range(2))
        pull = self._pull_forward if self._divergence == "forward" else self._pull_reverse
        for rows in cached(logits_CV):
            log_q_BV = logits_CV[rows].float().log_softmax(1)
            target_B1 = targets_C[rows, None]
            nll_C[rows] = -log_q_BV.gather(1, target_B1)[:, 0]
            q_BV = log_q_BV.exp_()
            # q − 1 from the logarithm: a difference of two numbers near 1 would lose its digits.
            q_BV.scatter_(1, target_B1, torch.expm1(-nll_C[rows, None]))
            kl_C[rows], pull_BV = pull(logits_CV[rows], taught_CV[rows])
            logits_CV[rows] = q_BV.mul_(1 - self._share).add_(
                pull_BV, alpha=self._share * self._temperature
            )
        return self._mixed(nll_C, kl_C), kl_C

    def _pull_forward(self, logits_BV: torch.Tensor, taught_BV: torch.Tensor) -> Pair:
        """KL(p ‖ q) of each site, and its derivative by the softened logits (B, V)."""
        more = logits_BV.shape[1] - taught_BV.shape[1]
        log_q_BV, log_p_BV = map(self._softened, (logits_BV, taught_BV))
        p_BV = log_p_BV.exp()
        kl_B = log_p_BV.sub_(log_q_BV[:, : p_BV.shape[1]]).mul_(p_BV).sum(1)
        return kl_B, log_q_BV.exp_().sub_(pad(p_BV, (0, more)))

    def _pull_reverse(self, logits_BV: torch.Tensor, taught_BV: torch.Tensor) -> Pair:
        """KL(q ‖ p) of each site, over the tokens that both have, and its derivative likewise."""
        shared = taught_BV.shape[1]
        log_q_BV, log_p_BV = map(self._softened, (logits_BV[:, :shared], taught_BV))
        q_BV = log_q_BV.exp()
        ahead_BV = log_q_BV.sub_(log_p_BV)
        kl_B = (q_BV * ahead_BV).sum(1)
        pull_BV = ahead_BV.sub_(kl_B[:, None]).mul_(q_BV)
        return kl_B, pad(pull_BV, (0, logits_BV.shape[1] - shared))
