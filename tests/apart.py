"""Tiny bases of an encoder and a decoder; their tokenizers frame a text as their families' do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import processors
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from tests.conftest import make_tokenizer

_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "n_positions": 96} | {
    "dropout_rate": 0.0
}
_BART = {
    "d_model": 32,
    "max_position_embeddings": 96,
    "dropout": 0.0,
    **{f"{side}_layers": 2 for side in ("encoder", "decoder")},
    **{f"{side}_attention_heads": 4 for side in ("encoder", "decoder")},
    **{f"{side}_ffn_dim": 48 for side in ("encoder", "decoder")},
}
SIZES: dict[str, dict[str, Any]] = {
    "t5": _T5,
    "t5 untied": _T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "mt5": _T5,
    "bart": _BART,
}
FAMILIES = tuple(SIZES)


def tokenizer(family: str = "t5") -> PreTrainedTokenizerFast:
    """No chat template. T5's puts the end token behind a text; BART's a start token before it."""
    made = make_tokenizer()
    made.chat_template = None
    before = ""
    if family == "bart":
        made.bos_token, before = "<|turn|>", "<|turn|> "
    named = {name: made.convert_tokens_to_ids(name) for name in ("<|turn|>", "<|end|>")}
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{before}$A <|end|>", special_tokens=list(named.items())
    )
    return made


def random_model(family: str, **more: Any) -> PreTrainedModel:
    """Without dropout, so that it can be held against plain transformers to the last digits.

    Weights are large enough for every part to show in the logits.
    """
    words = tokenizer(family)
    torch.manual_seed(3)
    config = AutoConfig.for_model(
        family.partition(" ")[0],
        vocab_size=len(words),
        pad_token_id=words.pad_token_id,
        eos_token_id=words.eos_token_id,
        bos_token_id=words.bos_token_id,
        decoder_start_token_id=words.eos_token_id if family == "bart" else words.pad_token_id,
        **SIZES[family] | more,
    )
    model = AutoModelForSeq2SeqLM.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return model


def save_apart(folder: Path, family: str = "t5", **more: Any) -> Path:
    """A random base of a family with its tokenizer; returns `folder`."""
    random_model(family, **more).save_pretrained(folder)
    tokenizer(family).save_pretrained(folder)
    return folder
