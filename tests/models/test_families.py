"""Every family's path gives the logits of the family's own code and attention, or is not taken."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from tests.shapes import sharp
from tests.support import examples
from tunesmith.core.errors import Unsupported
from tunesmith.data.pack import pack
from tunesmith.engine.loop import on_device
from tunesmith.models.forward import choose_forward

SMALL: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
GROUPED = SMALL | {"num_key_value_heads": 2}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("packed", GROUPED),
    "mistral": ("packed", GROUPED | {"sliding_window": 4}),
    "qwen2": (
        "packed",
        GROUPED | {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "qwen3": ("packed", GROUPED | {"head_dim": 8}),
    "gemma3_text": ("packed", GROUPED | {"head_dim": 8, "sliding_window": 4}),
    "granite": ("packed", GROUPED | {"attention_multiplier": 0.3}),
    "phi": ("packed", SMALL),
    "gpt_neox": ("packed", SMALL),
    "opt": ("packed", SMALL | {"ffn_dim": 48, "word_embed_proj_dim": 32}),
    "gpt2": (
        "packed",
        {"vocab_size": 97, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
        | {"bos_token_id": 0, "eos_token_id": 1},
    ),
    # Not through the interface.
    "gpt_neo": (
        "padded",
        {"vocab_size": 97, "hidden_size": 32, "num_layers": 2, "num_heads": 4, "window_size": 4}
        | {"max_position_embeddings": 64, "attention_types": [[["global", "local"], 1]]}
        | {"bos_token_id": 0, "eos_token_id": 1},
    ),
    # Attention sinks, which our kernel does not compute.
    "gpt_oss": (
        "padded",
        GROUPED
        | {"head_dim": 8, "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": 4}
        | {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    ),
    # Capped scores and capped logits.
    "gemma2": ("packed", GROUPED | {"head_dim": 8, "sliding_window": 4}),
    # Logits scaled behind the head.
    "cohere": ("packed", GROUPED),
}


def _random(family: str, **changes: Any) -> PreTrainedModel:
    settings = FAMILIES[family][1] if family in FAMILIES else SMALL
    return sharp(family, settings | changes, scale=8)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_packed_examples_get_the_library_s_own_logits(family: str) -> None:
    """Compared with one example at a time, before anything of ours has touched the model."""
    model, rows = _random(family), examples(4, vocabulary=97)
    wanted = []
    for row in rows:
        ids = torch.from_numpy(row.ids_N).long()
        sites = torch.from_numpy(row.weights_N[1:] > 0).nonzero()[:, 0]
        wanted.append(model(input_ids=ids[None]).logits[0, sites])
    forward = choose_forward(model)
    batch = on_device(pack(rows), torch.device("cpu"))
    logits = forward.head(forward.hidden_at_sites(batch))
    assert forward.name == FAMILIES[family][0]
    torch.testing.assert_close(logits, torch.cat(wanted), atol=2e-4, rtol=1e-4)


def test_a_cap_is_taken_over_where_the_probe_is_too_small_to_show_it() -> None:
    """Random weights give small logits, which a cap hardly bends; trained ones will not."""
    torch.manual_seed(0)
    config = AutoConfig.for_model("gemma2", **FAMILIES["gemma2"][1])
    model = AutoModelForCausalLM.from_config(config)
    forward = choose_forward(model)
    large = 1000 * torch.randn(3, 32)
    bare = model.get_output_embeddings()(large)
    torch.testing.assert_close(forward.head(large), 30 * torch.tanh(bare / 30))
    assert bare.abs().max() > 30


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_sees_later_tokens_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"BertLMHeadModel lets a token attend to later.*decoder"):
        choose_forward(_random("bert"))


def test_the_choice_leaves_the_mode_as_it_was() -> None:
    model = _random("llama").train()
    choose_forward(model)
    assert model.training
