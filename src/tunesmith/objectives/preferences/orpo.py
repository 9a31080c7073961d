"""ORPO: cross entropy of the better answers, and an odds ratio that holds the worse ones off.

    p̄(y) = exp( log p(y | x) / |y| )        odds(y) = p̄(y) / (1 − p̄(y))

    l = −λ log σ( log odds(y_w) − log odds(y_l) )        beside it the cross entropy, with weight 1

Hong, Lee and Thorne 2024, ORPO: Monolithic Preference Optimization without Reference Model, eq. 6
and 7 (λ of 0.1 to 1). Nothing is tuned before, so the cross entropy teaches the task; it is a mean
over tokens, of answers alone.

Shapes: P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from tunesmith.objectives.preferences.answers import Answers, Tensor
from tunesmith.objectives.preferences.pairs import Judged


@dataclass(frozen=True, slots=True)
class ORPO:
    """`beta` is λ; `sft` the weight of the cross entropy, 1 in the paper."""

    beta: float = 0.1
    sft: float = 1.0

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Judged:
        """See the head of this file; the reward is λ log p̄, as it is reported elsewhere."""
        better, worse = (each.log_p / each.tokens for each in (chosen, rejected))
        loss = -self.beta * logsigmoid(_log_odds(better) - _log_odds(worse))
        return Judged(loss, self.beta * better, self.beta * worse)


def _log_odds(log_p: Tensor) -> Tensor:
    """log( p / (1 − p) ), finite also where p has become 1; 1 − p keeps its digits near that."""
    log_p = log_p.clamp(max=-1e-7)
    return log_p - torch.log(-torch.expm1(log_p))
