"""Whether tokens see later ones is known exactly, whatever the weights and their precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel

from tunesmith.models.body import choose_body
from tunesmith.models.onwards import sees_later

SIZES: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
GPT2 = {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
DISTIL = {"vocab_size": 99, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
MAMBA = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
FAMILIES: dict[str, tuple[bool, dict[str, Any]]] = {
    "bert": (True, SIZES),
    "roberta": (True, SIZES),
    "distilbert": (True, DISTIL),
    "deberta-v2": (True, SIZES),
    "llama": (False, SIZES),
    "gemma3_text": (False, SIZES | {"head_dim": 8}),
    "mixtral": (False, SIZES | {"num_local_experts": 4}),
    "gpt2": (False, GPT2),
    "mamba": (False, MAMBA),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_random_weights_show_what_the_family_is(family: str, dtype: torch.dtype) -> None:
    later, sizes = FAMILIES[family]
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(family, **sizes)).eval().to(dtype)
    assert sees_later(model) == later
    if family in ("bert", "gpt2"):
        assert choose_body(model).causal != later


def test_the_question_leaves_nothing_on_the_model() -> None:
    model = AutoModel.from_config(AutoConfig.for_model("llama", **SIZES))
    with torch.no_grad():
        sees_later(model)
    assert not model.get_input_embeddings()._forward_hooks
    assert all(weight.grad is None for weight in model.parameters())
