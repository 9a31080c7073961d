"""Activation checkpointing: memory for time (Chen et al. 2016, Training Deep Nets with Sublinear
Memory Cost).

Each decoder layer keeps its input alone and is computed again in the backward pass, from the same
random draws: the same loss and gradients for about a third more time.
"""

from __future__ import annotations

from transformers import PreTrainedModel

from tunesmith.core.errors import Unsupported


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Let every decoder layer of `model` forget its activations while it trains.

    Raises Unsupported for a model whose class does not offer it.
    """
    if not model.supports_gradient_checkpointing:
        raise Unsupported(
            f"{type(model).__name__} cannot compute its layers again in the backward pass, which "
            "engine.activation_checkpointing=true asks for. Set it to false; a smaller "
            "engine.tokens_per_micro_batch saves memory too."
        )
    # The older name gives a warning where there is the newer one.
    newer = getattr(model, "activation_checkpointing_enable", None)
    (newer or model.gradient_checkpointing_enable)({"use_reentrant": False})
