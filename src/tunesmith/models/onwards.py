"""Whether a model lets a token attend to later ones: asked of autograd, so without a tolerance.

Comparing the states of two texts that differ in a later token needs one, for a computation may
round differently (a mixture of experts groups tokens anew), and in bfloat16 it hides the little
that one token of a small random model adds to another. A derivative is exactly zero where there is
no path, and has an exponent of its own where there is one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

_TOKENS = 6


def sees_later(model: PreTrainedModel) -> bool:
    """Whether any state (or logit) of a few tokens depends on the embedding of the last of them."""
    leaves: list[torch.Tensor] = []

    def leaf(layer: nn.Module, given: Any, embedded: torch.Tensor) -> torch.Tensor:
        leaves.append(embedded.detach().requires_grad_())
        return leaves[-1].clone()  # some bodies scale what they get in place

    vocabulary = int(model.config.get_text_config().vocab_size)
    # No id is one of the low ones that stand for padding, which some bodies look for.
    ids = vocabulary // 2 + torch.arange(_TOKENS, device=model.device)
    hook = model.get_input_embeddings().register_forward_hook(leaf)
    try:
        with torch.enable_grad():
            states_TD = model(input_ids=ids[None])[0][0]
            # Uneven shares: the sum over a normalised state is the same whatever it depends on.
            shares_D = torch.arange(1, states_TD.shape[-1] + 1, device=ids.device)
            (slope,) = torch.autograd.grad((states_TD[:-1] * shares_D).sum(), leaves[:1])
    finally:
        hook.remove()
    return bool(slope[0, -1].count_nonzero())
