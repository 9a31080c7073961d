"""Distillation: at each site the teacher's whole prediction is a target, beside the token.

    L = Σ_s w_s · [ (1 − a) (−log q_s(y_s)) + a T² KL(p_s^T ‖ q_s^T) ]        count = Σ_s w_s

    q^T = softmax(z / T), p^T = softmax(v / T)      (logits z of the student, v of the teacher)
    ∂L/∂z_s = w_s [ (1 − a) (q_s − onehot(y_s)) + a T (q_s^T − p_s^T) ]

Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network, eq. 1 to 4: a higher
temperature T shows what the teacher holds possible beside its first choice, and T² keeps the soft
targets' gradient as large as that of the tokens, whatever T is. (Their cross entropy with soft
targets and the KL here differ by the teacher's entropy, which has no gradient.)
"""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy, pad
from torch.utils.checkpoint import checkpoint

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import SiteModel
from tunesmith.objectives.linear_head import Head, cached, filled, weighted_sum

# Sites per call of a head that is more than a linear map.
_CHUNK = 512


class Distillation:
    """Shapes: sites S, widths D, vocabulary V; logits exist for one chunk of sites at a time.

    `share` is a of the formula, 0 to 1, `temperature` T. The teacher's logits may be more or fewer
    than the student's where one of them is filled up: those that both have are compared.
    """

    def __init__(self, teacher: SiteModel, share: float, temperature: float) -> None:
        self._teacher = teacher
        self._share = share
        self._temperature = temperature

    def loss(self, model: SiteModel, batch: Batch) -> LossSum:
        """The weighted sum in nats, the sum of weights, and the weighted sum of the KL alone."""
        with torch.no_grad():
            taught_SD = self._teacher.hidden_at_sites(batch)
        hidden_SD, head = model.hidden_at_sites(batch), model.linear_head
        if head is None:
            total, kl_S = self._through_any_head(model, hidden_SD, taught_SD, batch)
        else:
            total, kl_S = self._through_linear_head(hidden_SD, head, taught_SD, batch)
        return LossSum(
            sum=total,
            count=float(batch.weights_S.sum()),
            extras={"kl_to_teacher": float(kl_S @ batch.weights_S)},
        )

    def _through_linear_head(
        self, hidden_SD: torch.Tensor, head: Head, taught_SD: torch.Tensor, batch: Batch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        sites, taught_SD, targets_S = len(taught_SD), filled(taught_SD), filled(batch.targets_S)
        kl_S = torch.empty(len(taught_SD), device=taught_SD.device)

        def of_sites(rows: slice, logits_CV: torch.Tensor) -> torch.Tensor:
            taught_CV = self._taught(taught_SD[rows], logits_CV.shape[1])
            nll_C, kl_S[rows] = self._then_derivative(logits_CV, taught_CV, targets_S[rows])
            return self._mixed(nll_C, kl_S[rows])

        weights_S = filled(batch.weights_S)
        total = weighted_sum(filled(hidden_SD), head, weights_S, of_sites, at_once=2)
        return total, kl_S[:sites]

    def _through_any_head(
        self, model: SiteModel, hidden_SD: torch.Tensor, taught_SD: torch.Tensor, batch: Batch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits of each chunk are made again in the backward pass."""
        total, kls = hidden_SD.new_zeros((), dtype=torch.float32), []
        for start in range(0, len(hidden_SD), _CHUNK):
            rows = slice(start, start + _CHUNK)
            arrays = (hidden_SD, taught_SD, batch.targets_S, batch.weights_S)
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
        taught_CD: torch.Tensor,
        targets_C: torch.Tensor,
        weights_C: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits_CV = model.head(hidden_CD).float()
        log_p_CV = self._softened(self._taught(taught_CD, logits_CV.shape[1]))
        nll_C = cross_entropy(logits_CV, targets_C, reduction="none")
        log_q_CV = self._softened(logits_CV)[:, : log_p_CV.shape[1]]
        kl_C = (log_p_CV.exp() * (log_p_CV - log_q_CV)).sum(1)
        return self._mixed(nll_C, kl_C) @ weights_C, kl_C

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
        self, logits_CV: torch.Tensor, taught_CV: torch.Tensor, targets_C: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """−log q of each target and the KL, float32, shapes (C,).

        `logits_CV` become the derivative of their mixed sum in place. All softmaxes are taken in
        float32, a few rows at a time, so that they stay in the cache.
        """
        nll_C, kl_C = (logits_CV.new_empty(len(logits_CV), dtype=torch.float32) for _ in range(2))
        more = logits_CV.shape[1] - taught_CV.shape[1]
        for rows in cached(logits_CV):
            log_q_BV = logits_CV[rows].float().log_softmax(1)
            target_B1 = targets_C[rows, None]
            nll_C[rows] = -log_q_BV.gather(1, target_B1)[:, 0]
            q_BV = log_q_BV.exp_()
            # q − 1 from the logarithm: a difference of two numbers near 1 would lose its digits.
            q_BV.scatter_(1, target_B1, torch.expm1(-nll_C[rows, None]))
            log_qt_BV, log_pt_BV = map(self._softened, (logits_CV[rows], taught_CV[rows]))
            pt_BV = log_pt_BV.exp()
            kl_C[rows] = log_pt_BV.sub_(log_qt_BV[:, : pt_BV.shape[1]]).mul_(pt_BV).sum(1)
            pull_BV = log_qt_BV.exp_().sub_(pad(pt_BV, (0, more)))
            logits_CV[rows] = q_BV.mul_(1 - self._share).add_(
                pull_BV, alpha=self._share * self._temperature
            )
        return nll_C, kl_C
