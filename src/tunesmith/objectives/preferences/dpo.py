"""Direct preference optimisation and its variants: a reward is a log-ratio to a reference.

    r(y) = β log( p(y | x) / p_ref(y | x) )        z = r(y_w) − r(y_l)

    sigmoid     −(1 − ε) log σ(z) − ε log σ(−z)                                (DPO; cDPO if ε > 0)
    robust      ( −(1 − ε) log σ(z) + ε log σ(−z) ) / (1 − 2ε)                               (rDPO)
    hinge       max(0, 1 − z)                                                                (SLiC)
    ipo         ( z / β − 1 / 2β )²,  with r per token                                        (IPO)
    normalized  as sigmoid,  with r per token                                              (LN-DPO)

DPO: Rafailov et al. 2023, Direct Preference Optimization, eq. 7. cDPO: Mitchell 2023, A note on DPO
with noisy preferences. rDPO: Chowdhury, Kini and Natarajan 2024, Provably Robust DPO: an unbiased
estimate of the loss where a share ε of the pairs is the wrong way round. SLiC: Zhao et al. 2023,
SLiC-HF, on DPO's reward as in Liu et al. 2023, RSO, §3. IPO: Azar et al. 2023, eq. 17, with the
mean over tokens that its authors use. LN-DPO: Lambert et al. 2024, Tülu 3, §5.

Shapes: P pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch.nn.functional import logsigmoid, relu

from tunesmith.objectives.preferences.answers import Answers, Tensor
from tunesmith.objectives.preferences.pairs import Judged


@dataclass(frozen=True, slots=True)
class DPO:
    """One of the variants.

    Args:
        beta: β: how dear it is to leave the reference.
        variant: a name of VARIANTS.
        smoothing: ε, below ½: the share of pairs expected to be the wrong way round.
        sft: weight of the cross entropy of the preferred answers beside it.
    """

    beta: float = 0.1
    variant: str = "sigmoid"
    smoothing: float = 0.0
    sft: float = 0.0

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Judged:
        """See the head of this file."""
        variant = VARIANTS[self.variant]
        rewards = [self.beta * each.log_ratio for each in (chosen, rejected)]
        if variant.per_token:
            rewards = [r / each.tokens for r, each in zip(rewards, (chosen, rejected), strict=True)]
        better, worse = rewards
        return Judged(variant.loss(better - worse, self), better, worse)


def conservative(margin: Tensor, smoothing: float) -> Tensor:
    """−log σ of a margin, (P,), where a share of the pairs may be the wrong way round."""
    return -(1 - smoothing) * logsigmoid(margin) - smoothing * logsigmoid(-margin)


def _robust(margin: Tensor, smoothing: float) -> Tensor:
    unbiased = -(1 - smoothing) * logsigmoid(margin) + smoothing * logsigmoid(-margin)
    return unbiased / (1 - 2 * smoothing)


@dataclass(frozen=True, slots=True)
class _Variant:
    """The loss of z, (P,); and whether rewards are per token."""

    loss: Callable[[Tensor, DPO], Tensor]
    per_token: bool = False


VARIANTS: Mapping[str, _Variant] = {
    "sigmoid": _Variant(lambda z, dpo: conservative(z, dpo.smoothing)),
    "robust": _Variant(lambda z, dpo: _robust(z, dpo.smoothing)),
    "hinge": _Variant(lambda z, dpo: relu(1 - z)),
    "ipo": _Variant(lambda z, dpo: ((z - 0.5) / dpo.beta).square(), per_token=True),
    "normalized": _Variant(lambda z, dpo: conservative(z, dpo.smoothing), per_token=True),
}
