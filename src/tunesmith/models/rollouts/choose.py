"""Which token comes next, and how likely it was.

A token is drawn by inverting the distribution function at one uniform number,

    x = min { i : Σ_{j ≤ i} p_j > u Σ_j p_j },   p = exp(z / temperature − max),
    log p(x) = z_x / temperature − max − log Σ_j p_j

in float32, summed in float64 on the processor. The uniform numbers of an answer come from a
counter-based generator of its own (Philox, Salmon et al. 2011), so what an answer draws does not
depend on which others are computed beside it.

Shape legend: R answers, V vocabulary, N tokens of an answer.
"""

from __future__ import annotations

import numpy as np
import torch

from tunesmith.core.seeds import derive


def uniforms(seed: int, prompt: int, answer: int, tokens: int) -> np.ndarray:
    """What answer number `answer` to prompt number `prompt` draws, in [0, 1): (N), float32.

    Of fewer tokens the same, cut short.
    """
    key = derive(seed, "rollout", prompt, answer)
    return np.random.Generator(np.random.Philox(key=key)).random(tokens, dtype=np.float32)


def choose(
    logits_RV: torch.Tensor, temperature: float, uniform_R: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The next token of each row and its log-probability in nats, both (R).

    At temperature 0 the likeliest token is taken, and its log-probability is that of temperature 1.
    """
    shares_RV = logits_RV.to(torch.float32, copy=True)
    heat = temperature or 1.0
    highest_R, likeliest_R = shares_RV.div_(heat).max(-1)
    shares_RV.sub_(highest_R[:, None]).exp_()
    if temperature == 0:
        return likeliest_R, -shares_RV.sum(-1).log()
    sums_RV = shares_RV.cumsum_(-1)
    total_R = sums_RV[:, -1]
    drawn_R1 = torch.searchsorted(sums_RV, (uniform_R * total_R)[:, None], right=True)
    drawn_R1 = drawn_R1.clamp_(max=logits_RV.shape[1] - 1)
    chosen_R = logits_RV.gather(1, drawn_R1)[:, 0].float() / heat
    return drawn_R1[:, 0], chosen_R - highest_R - total_R.log()
