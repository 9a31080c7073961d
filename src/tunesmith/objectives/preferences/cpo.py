"""CPO: preference without a reference, and cross entropy of the better answers to stay near them.

    r(y) = β log p(y | x)        l = −log σ( r(y_w) − r(y_l) )        beside it α · cross entropy

Xu et al. 2024, Contrastive Preference Optimization, eq. 3: DPO whose reference is a uniform model,
and behaviour cloning beside it. The cross entropy is a mean over tokens, as in the authors' code.

Shapes: P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.objectives.preferences.answers import Answers
from tunesmith.objectives.preferences.dpo import conservative
from tunesmith.objectives.preferences.pairs import Judged


@dataclass(frozen=True, slots=True)
class CPO:
    """`beta` and `sft` are β and α; `smoothing` the share of pairs that are the wrong way round."""

    beta: float = 0.1
    smoothing: float = 0.0
    sft: float = 1.0

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Judged:
        """See the head of this file."""
        better, worse = (self.beta * each.log_p for each in (chosen, rejected))
        return Judged(conservative(better - worse, self.smoothing), better, worse)
