"""Tiny random models of the families that fast paths must serve, one configuration each."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCABULARY = 97
_SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
_GROUPED = _SMALL | {"num_key_value_heads": 2}
_STILL = {"hidden_dropout": 0.0, "attention_dropout": 0.0}
SHAPES: dict[str, dict[str, Any]] = {
    "llama": _GROUPED,
    "qwen2": _GROUPED
    | {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}
    | {"tie_word_embeddings": True},
    "mistral": _GROUPED | {"sliding_window": 4},
    "gemma": _GROUPED | {"head_dim": 8},
    # Capped scores and capped logits.
    "gemma2": _GROUPED | {"head_dim": 8, "sliding_window": 4},
    "gemma3_text": _GROUPED | {"head_dim": 8, "sliding_window": 4},
    "gpt2": {
        "vocab_size": VOCABULARY,
        "n_embd": 32,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 64,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    },
    "gpt_neox": _SMALL | _STILL,
    "phi": _SMALL | {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attention_dropout": 0.0},
}


def tiny(family: str, **changes: Any) -> PreTrainedModel:
    """A random model of `family`."""
    return sharp(family, SHAPES[family] | changes)


def sharp(family: str, settings: dict[str, Any], scale: float = 4) -> PreTrainedModel:
    """A random model with weights so large that attention is sharp, and caps bite."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **settings))
    for weight in model.parameters():
        if weight.ndim >= 2:
            weight.data.mul_(scale)
    return model.eval()
