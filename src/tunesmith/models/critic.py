"""A policy and its critic as one module: the critic is a linear map of the policy's states."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tunesmith.core.batch import Batch
from tunesmith.core.ports import SiteModel
from tunesmith.models.forward import FullLogitsForward
from tunesmith.models.open import Base


def state_width(base: Base) -> int:
    """D: how many numbers the path of a base gives at a site. Where its logits are more than a
    linear map of hidden states they are what is given, one a token of the vocabulary."""
    whole = base.forward.linear_head is None and base.forward.name == FullLogitsForward.name
    described = base.described
    return described.vocab_size if whole else described.hidden_size


class ActorCritic(nn.Module):
    """What PPO trains: `policy`, run by `forward_path`, and D + 1 numbers that say what to expect.

    They begin at zero: before anything was learned, nothing is expected. They are float32, as
    trained weights are kept. They are not saved with the model, which writes without them.
    """

    def __init__(self, policy: nn.Module, path: SiteModel, width: int) -> None:
        """`width` is D, the size of what `path` gives at a site."""
        super().__init__()
        self.policy = policy
        self.critic = nn.Linear(width, 1, device=next(policy.parameters()).device)
        nn.init.zeros_(self.critic.weight)
        nn.init.zeros_(self.critic.bias)
        self._path = [path]  # in a list: it is no module of this one

    def hidden_at_sites(self, batch: Batch) -> Any:
        """As the policy's path."""
        return self._path[0].hidden_at_sites(batch)

    def head(self, hidden_SD: torch.Tensor) -> Any:
        """As the policy's path."""
        return self._path[0].head(hidden_SD)

    @property
    def linear_head(self) -> Any:
        """As the policy's path."""
        return self._path[0].linear_head

    def value(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """The return expected at each site, float32, shape (S,)."""
        expected_S1: torch.Tensor = self.critic(hidden_SD.float())
        return expected_S1[:, 0]
