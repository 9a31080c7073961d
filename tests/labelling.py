"""Tiny bases that label, and rows with classes, made in a moment."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from tunesmith.core.errors import Interrupted
from tunesmith.core.ports import Silent
from tunesmith.core.records import StepReport
from tunesmith.recipe import Recipe
from tunesmith.runs.open import Run
from tunesmith.runs.train import train

WORDS = {
    "late": ("late", "slow", "waiting", "delayed"),
    "lost": ("lost", "missing", "gone", "nowhere"),
    "broken": ("broken", "torn", "cracked", "damaged"),
}
COMMON = ("my", "order", "is", "the", "parcel", "and", "still", "today", "again", "please")
QUICK = (
    "model.dtype=float32",
    "model.device=cpu",
    "model.method=full",
    "engine.epochs=6",
    "engine.batch_size=8",
    "engine.learning_rate=0.003",
    "engine.patience=0",
)
"""A run that learns these rows in a moment."""
BEHIND = {"late": "since", "lost": "abroad", "broken": "apart"}
"""Stand behind a word that tells the class, in its span."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "</s>")

SIZES: dict[str, dict[str, Any]] = {
    "bert": {"hidden_size": 32, "intermediate_size": 48},
    "roberta": {"hidden_size": 32, "intermediate_size": 48, "pad_token_id": 0},
    "llama": {"hidden_size": 32, "intermediate_size": 48, "num_key_value_heads": 2},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
}
ENCODERS = ("bert", "roberta")
_ALL = {"num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64}


def tokenizer(*, encoder: bool) -> PreTrainedTokenizerFast:
    """A word a token; an encoder's puts [CLS] and [SEP] around a text."""
    telling = (word for some in WORDS.values() for word in some)
    words = [*SPECIAL, *COMMON, *telling, *BEHIND.values()]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if encoder:
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        eos_token="</s>",
    )


def save_base(folder: Path, family: str, seed: int = 0) -> Path:
    """A random base of a family, with its tokenizer."""
    encoder = family in ENCODERS
    words = tokenizer(encoder=encoder)
    sizes = SIZES[family] if family == "gpt2" else _ALL | SIZES[family]
    torch.manual_seed(seed)
    # No dropout: what is trained can be held against plain transformers to the last digits.
    config = AutoConfig.for_model(family, vocab_size=len(words), **sizes)
    for key in ("hidden_dropout_prob", "attention_probs_dropout_prob", "attn_pdrop"):
        setattr(config, key, 0.0)
    for key in ("resid_pdrop", "embd_pdrop"):
        setattr(config, key, 0.0)
    kind = AutoModel if encoder else AutoModelForCausalLM
    model: PreTrainedModel = kind.from_config(config)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Texts of common words with one that tells the class."""
    chosen = random.Random(seed)
    found = []
    for number in range(count):
        name = list(WORDS)[number % len(WORDS)]
        said = chosen.sample(COMMON, chosen.randint(2, 6))
        said.insert(chosen.randint(0, len(said)), chosen.choice(WORDS[name]))
        found.append({"text": " ".join(said), "label": name})
    return found


class _StopAfter(Silent):
    """Interrupts a run."""

    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, report: StepReport) -> None:
        if report.step == self._step:
            raise KeyboardInterrupt


def resumed_in_the_same_bits(recipe: Recipe, folder: Path, step: int = 5) -> tuple[Run, Run]:
    """A whole run, and one interrupted after `step` and resumed: every saved tensor is the same."""
    whole = train(recipe, folder / "whole")
    with pytest.raises(Interrupted, match="Stopped"):
        train(recipe, folder / "broken", watcher=_StopAfter(step))
    broken = train(None, folder / "broken", resume=True)
    files = list(whole.artefact.rglob("*.safetensors"))
    assert files
    for file in files:
        ours = load_file(file)
        theirs = load_file(broken.artefact / file.relative_to(whole.artefact))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    return whole, broken


def outputs_by_card(run: Run) -> Callable[[list[Any]], torch.Tensor]:
    """The function that the code of a run's model card ends in, in plain libraries."""
    code = run.folder.card.read_text(encoding="utf-8").partition("```python\n")[2]
    known: dict[str, Any] = {}
    before = Path.cwd()
    os.chdir(run.path)
    try:
        exec(code.partition("```")[0], known)
    finally:
        os.chdir(before)
    return torch.no_grad()(known["outputs"])


def write(path: Path, lines: list[dict[str, Any]]) -> str:
    """JSON lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def tagged(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Words, of which one that tells a class, and at times the one behind it, are a span."""
    chosen = random.Random(seed)
    found = []
    for number in range(count):
        name = list(WORDS)[number % len(WORDS)]
        said = chosen.sample(COMMON, chosen.randint(2, 6))
        tags = ["O"] * len(said)
        place = chosen.randint(0, len(said))
        told = [chosen.choice(WORDS[name]), *([BEHIND[name]] if number % 2 else [])]
        said[place:place] = told
        tags[place:place] = [f"B-{name}", *[f"I-{name}"] * (len(told) - 1)]
        found.append({"tokens": said, "tags": tags})
    return found
