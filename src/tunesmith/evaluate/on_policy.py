"""Whether what is learned from was drawn by the model that learns.

Reinforcement weighs each token by r = π_trainer / π_sampler, which is 1 in the first update after a
round. Where sampler and trainer compute the same model in different ways (another kernel, another
server, an adapter that was not reloaded, another temperature) it is not, and what is learned is
quietly another thing (Yao et al. 2025, "Your efficient RL framework secretly brings you off-policy
RL training"). So both log-probabilities are compared before a run learns from any answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

TOLERANCES: Mapping[str, float] = {"float32": 1e-3, "bfloat16": 0.05}
"""The mean difference, in nats a token, that rounding may make. Our own sampler's is 7e-7 in
float32 and 0.01 in bfloat16, where a logit of 20 is rounded to 1/16; a server with kernels of its
own is allowed more. An adapter forgotten or a temperature left out makes tenths."""


@dataclass(frozen=True, slots=True)
class Gap:
    """How far apart the log-probabilities of the same tokens are, in nats.

    `largest` and `mean` are of |trainer − sampler|; `ratio` is the mean of exp(trainer − sampler),
    1 for a sampler that is the trainer; `tokens` are how many were compared.
    """

    largest: float
    mean: float
    ratio: float
    tokens: int

    def refusal(self, dtype: str) -> str:
        """Why a run in `dtype` must not learn from these answers; "" where it may."""
        allowed = TOLERANCES[dtype]
        if self.mean <= allowed:  # not so for NaN
            return ""
        return (
            "The sampler and the trainer are not the same model: their log-probabilities of "
            f"{self.tokens} tokens differ by {self.mean:.3g} nats on average and by "
            f"{self.largest:.3g} at most (mean importance ratio {self.ratio:.3g}), where rounding "
            f"in {dtype} makes no more than {allowed:g}. See that the sampler has the newest "
            "adapter and the same base in the same dtype, and gives log-probabilities at the "
            "temperature that it samples with."
        )


def gap_between(sampler_N: np.ndarray, trainer_N: np.ndarray) -> Gap:
    """Compare log-probabilities of the same tokens, both (N) with N ≥ 1, in nats.

    Raises ValueError if they are not as many.
    """
    if sampler_N.shape != trainer_N.shape or not len(sampler_N):
        raise ValueError(
            f"The sampler gave log-probabilities of shape {sampler_N.shape} and the trainer of "
            f"{trainer_N.shape}; there must be one of each for every token, and a token at least."
        )
    apart_N = trainer_N.astype(np.float64) - sampler_N.astype(np.float64)
    size_N = np.abs(apart_N)
    return Gap(
        largest=float(size_N.max()),
        mean=float(size_N.mean()),
        ratio=float(np.exp(apart_N).mean()),
        tokens=len(apart_N),
    )
