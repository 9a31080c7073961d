"""SimPO: the reward is the mean log-likelihood of a token, as answers are chosen by; no reference.

    r(y) = (β / |y|) log p(y | x)        l = −log σ( r(y_w) − r(y_l) − γ )

Meng, Xia and Chen 2024, SimPO: Simple Preference Optimization with a Reference-Free Reward, eq. 6.
The better answer is to be better by γ, the target margin. (The paper tries β of 2 to 2.5 and γ of
0.3 to 1.6.) With cross entropy beside it, it is CPO-SimPO.

Shapes: P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch.nn.functional import logsigmoid

from tunesmith.objectives.preferences.answers import Answers
from tunesmith.objectives.preferences.pairs import Judged


@dataclass(frozen=True, slots=True)
class SimPO:
    """`beta` and `margin` are β and γ; `sft` the weight of the preferred answers' cross entropy."""

    beta: float = 2.0
    margin: float = 1.0
    sft: float = 0.0

    def of_pairs(self, chosen: Answers, rejected: Answers) -> Judged:
        """See the head of this file."""
        better, worse = (self.beta * each.log_p / each.tokens for each in (chosen, rejected))
        return Judged(-logsigmoid(better - worse - self.margin), better, worse)
