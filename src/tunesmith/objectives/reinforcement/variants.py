"""What the methods of learning from grades differ in: a line each.

    name        baseline                   ratio       a token's weight      divided by
    grpo        its group's mean, ÷ std    token       1 / answer's length   answers
    dr_grpo     its group's mean           token       1 / longest allowed   answers
    dapo        its group's mean, ÷ std    token       1                     tokens
    rloo        mean of its group's rest   sequence    1 / answer's length   answers
    reinforce   the step's mean            unclipped   1                     answers
    ppo         a critic's expectation     token       1                     tokens

Sources: Shao et al. 2024, DeepSeekMath, eq. 3 and 21 (GRPO); Liu et al. 2025, Understanding
R1-Zero-Like Training, §3.2 (Dr. GRPO); Yu et al. 2025, DAPO, eq. 8 and §3; Ahmadian et al. 2024,
Back to Basics, eq. 7 (RLOO; the ratio over whole answers clipped as in TRL); Williams 1992,
REINFORCE, §5 (a baseline); Schulman et al. 2017, PPO, eq. 7 and 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ratio = Literal["token", "sequence", "unclipped"]
Weight = Literal["own_length", "longest", "one"]
Baseline = Literal["group", "scaled_group", "others", "step", "critic"]


@dataclass(frozen=True, slots=True)
class Variant:
    """A line of the table.

    `over_tokens` says that the sum of losses is divided by the tokens, not by the answers.
    `clip_high` is the upper clip that the source uses.
    """

    baseline: Baseline
    ratio: Ratio
    weight: Weight
    over_tokens: bool = False
    clip_high: float = 0.2


VARIANTS: dict[str, Variant] = {
    "grpo": Variant("scaled_group", "token", "own_length"),
    "dr_grpo": Variant("group", "token", "longest"),
    "dapo": Variant("scaled_group", "token", "one", over_tokens=True, clip_high=0.28),
    "rloo": Variant("others", "sequence", "own_length"),
    "reinforce": Variant("step", "unclipped", "one"),
    "ppo": Variant("critic", "token", "one", over_tokens=True),
}
