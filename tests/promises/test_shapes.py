"""Promise 1 over families: prefix-shared ≡ repeated ≡ one by one ≡ the library, loss and gradients.

Random float32 models, so sharp that a token more or less in attention would show.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from tests.shapes import SHAPES, VOCABULARY, sharp
from tests.support import gradients_of
from tunesmith.core.batch import ROOT, Batch
from tunesmith.core.records import Origin, Tokens
from tunesmith.data.pack import pack
from tunesmith.engine.loop import on_device
from tunesmith.models.forward import choose_forward
from tunesmith.objectives.cross_entropy import CrossEntropy

_LLAMA = SHAPES["llama"]
_SMALL = {key: value for key, value in _LLAMA.items() if key != "num_key_value_heads"}
PACKED: dict[str, dict[str, Any]] = SHAPES | {
    "qwen3": _LLAMA | {"head_dim": 8},
    "phi3": _LLAMA,
    "olmo2": _LLAMA,
    "smollm3": _LLAMA,
    "granite": _LLAMA | {"attention_multiplier": 0.3, "logits_scaling": 3.0},
    "cohere": _LLAMA | {"logit_scale": 0.25},
    "opt": _SMALL | {"ffn_dim": 48, "word_embed_proj_dim": 32, "dropout": 0.0},
}
PADDED: dict[str, dict[str, Any]] = {
    "falcon": _SMALL,
    "bloom": {"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    "gpt_neo": {"vocab_size": VOCABULARY, "hidden_size": 32, "num_layers": 2, "num_heads": 4}
    | {"window_size": 4, "max_position_embeddings": 64, "embed_dropout": 0.0}
    | {"attention_types": [[["global", "local"], 1]]},
}
Gradients = dict[str, torch.Tensor]


def _rows() -> list[Tokens]:
    """A system prompt over all but one row, a document under it, and a question under that.

    Prefix tokens are learned in two rows, as in a text or an earlier turn. One row ends where
    others go on, and two are the same.
    """
    draw = np.random.default_rng(0)
    system, document, question = (draw.integers(0, VOCABULARY, n) for n in (17, 18, 16))
    beginnings = [[system, document, question]] * 2 + [[system, document]] * 2 + [[system], [], []]
    rows = []
    for number, beginning in enumerate(beginnings):
        own = draw.integers(0, VOCABULARY, 3 + number)
        ids = np.concatenate([*beginning, own]).astype(np.int32)
        weights = np.full(len(ids), 0.5 * (1 + number % 3), dtype=np.float32)
        if number not in (1, 3):
            weights[: -len(own)] = 0
        rows.append(Tokens(Origin("made.jsonl", number + 1), ids, weights, len(ids)))
    short = rows[3].ids_N[:35]
    rows.append(Tokens(Origin("made.jsonl", 8), short, np.ones(35, dtype=np.float32), 35))
    return [*rows, rows[4]]


def _by_the_library(model: PreTrainedModel, rows: list[Tokens]) -> tuple[float, Gradients]:
    """One row at a time through the family's own code and attention."""
    model.zero_grad()
    total = 0.0
    for row in rows:
        ids = torch.from_numpy(row.ids_N).long()
        logits = model(input_ids=ids[None], use_cache=False).logits[0, :-1]
        nll = cross_entropy(logits, ids[1:], reduction="none")
        loss = (nll * torch.from_numpy(row.weights_N[1:])).sum()
        loss.backward()
        total += loss.item()
    return total, gradients_of(model)


def _by_us(model: PreTrainedModel, forward: Any, batches: list[Batch]) -> tuple[float, Gradients]:
    model.zero_grad()
    total = 0.0
    for batch in batches:
        loss = CrossEntropy().loss(forward, on_device(batch, torch.device("cpu"))).sum
        loss.backward()
        total += loss.item()
    return total, gradients_of(model)


def _assert_same(ours: tuple[float, Gradients], wanted: tuple[float, Gradients]) -> None:
    """Loss and gradients, each in the Euclidean norm, to 1e-5."""
    assert ours[0] == pytest.approx(wanted[0], rel=1e-5)
    assert ours[1].keys() == wanted[1].keys()
    most = max(value.norm() for value in wanted[1].values())
    for name, value in ours[1].items():
        # A bias of keys has no gradient but rounding: shifted scores are the same softmax.
        error = (value - wanted[1][name]).norm() / wanted[1][name].norm().clamp(min=1e-3 * most)
        assert error < 1e-5, f"{name} differs by {error:.1e}"


@pytest.mark.parametrize("family", PACKED | PADDED)
def test_shared_is_repeated_is_one_by_one_is_the_library(family: str) -> None:
    model, rows = sharp(family, (PACKED | PADDED)[family]).train(), _rows()
    wanted = _by_the_library(model, rows)
    forward = choose_forward(model)
    assert forward.name == ("packed" if family in PACKED else "padded")
    assert bool(forward.reason) == (family in PADDED)
    shared = pack(rows)
    assert max(_depth(shared, place) for place in range(len(shared.segments))) == 4
    assert shared.tokens < sum(map(len, rows)) / 2
    _assert_same(_by_us(model, forward, [shared]), wanted)
    _assert_same(_by_us(model, forward, [pack(rows, share=False)]), wanted)
    if family in ("llama", "gemma2"):
        _assert_same(_by_us(model, forward, [pack([row]) for row in rows]), wanted)


def _depth(batch: Batch, place: int) -> int:
    parent = batch.segments[place].parent
    return 1 if parent == ROOT else 1 + _depth(batch, parent)
