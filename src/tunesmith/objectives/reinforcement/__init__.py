"""Learning from grades: what was sampled and turned out well becomes likelier.

`variants` is the table of what the methods differ in, `advantages` how grades become numbers around
zero, `policy` the loss of the tokens, `critic` that of PPO, which learns what to expect, too, and
`taught` that of a teacher beside the grades.
"""

from tunesmith.objectives.reinforcement.critic import ActorCriticLoss
from tunesmith.objectives.reinforcement.policy import PolicyLoss
from tunesmith.objectives.reinforcement.taught import TaughtPolicy
from tunesmith.objectives.reinforcement.variants import VARIANTS, Variant

__all__ = ["VARIANTS", "ActorCriticLoss", "PolicyLoss", "TaughtPolicy", "Variant"]
