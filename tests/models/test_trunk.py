"""The frozen part of a model computed once gives what computing it every time gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from tests.shapes import SHAPES, VOCABULARY, tiny
from tests.support import assert_near, examples, gradients_of, model_section
from tunesmith.core.batch import Batch
from tunesmith.core.records import Origin, Tokens
from tunesmith.data.pack import pack
from tunesmith.engine.loop import on_device
from tunesmith.models.forward import FullLogitsForward, PaddedForward, choose_forward, evened
from tunesmith.models.methods import attach
from tunesmith.models.open import Base, decoder_layers
from tunesmith.models.trunk import Trunk, open_trunk
from tunesmith.models.trunk_store import Budget
from tunesmith.objectives.cross_entropy import CrossEntropy

ROWS = examples(6, vocabulary=VOCABULARY)
CPU = torch.device("cpu")
MEMORY = Budget(1 << 30, 0, Path())
CASES = {"head": {}, "last_layers": {"layers": 1}, "lora": {"layers": 2}}


def _base(model: PreTrainedModel, method: str, **fields: Any) -> Base:
    described = SimpleNamespace(
        name="tiny", reference="tiny", layers=model.config.num_hidden_layers, tokenizer=None
    )
    base = Base(described, model, choose_forward(model))  # type: ignore[arg-type]
    attach(base, model_section(method=method, **fields), 0)
    _wake(model)
    return base


def _wake(model: PreTrainedModel) -> None:
    """Give the second matrices of new adapters values, so that all gradients are above zero."""
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.1)


def _batch(rows: Sequence[Tokens], share: bool = False) -> Batch:
    return on_device(pack(rows, share), CPU)


def _outcome(
    model: PreTrainedModel, forward: Any, rows: Sequence[Tokens], share: bool = False
) -> dict[str, Any]:
    """The loss and every gradient."""
    model.zero_grad()
    loss = CrossEntropy().loss(forward, _batch(rows, share)).sum
    loss.backward()
    return {"loss": loss.detach(), **gradients_of(model)}


def _asked(base: Base, rows: Sequence[Tokens] = ROWS, budget: Budget = MEMORY) -> Trunk:
    tokens, sites = sum(map(len, rows)), sum(row.sites for row in rows)
    return open_trunk(base, tokens=tokens, sites=sites, budget=budget)


def _opened(base: Base, rows: Sequence[Tokens] = ROWS, budget: Budget = MEMORY) -> Trunk:
    trunk = _asked(base, rows, budget)
    assert trunk.forward is not None, trunk.note
    return trunk


def _counted(base: Base) -> list[int]:
    """How many tokens each call of the lowest layer was given; grows with every call."""
    calls: list[int] = []
    decoder_layers(base.model)[0].register_forward_pre_hook(
        lambda layer, arguments: calls.append(arguments[0].shape[1])
    )
    return calls


@pytest.mark.parametrize("method", CASES)
@pytest.mark.parametrize("family", SHAPES)
def test_kept_states_give_the_plain_loss_and_gradients(family: str, method: str) -> None:
    """States kept from batches of one composition serve batches of another."""
    base = _base(tiny(family), method, **CASES[method])
    base.model.train()
    forward = _opened(base).forward
    assert forward is not None
    forward.refill([_batch(ROWS[:4]), _batch(ROWS[4:])])
    for rows in (ROWS[::-1], ROWS[1:3]):
        plain = _outcome(base.model, base.forward, rows)
        assert len(plain) > 1
        assert_near(_outcome(base.model, forward, rows), plain)


@pytest.mark.parametrize("method", CASES)
def test_the_frozen_layers_run_once_an_example(method: str) -> None:
    """Over three epochs in different batches, with a validation after each."""
    base = _base(tiny("llama"), method, **CASES[method])
    forward, calls = _opened(base).forward, _counted(base)
    train, held_out = ROWS[:4], ROWS[4:]
    for order in ((0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0)):
        for start in (0, 2):
            _outcome(base.model, forward, [train[i] for i in order[start : start + 2]])
        with torch.inference_mode():
            CrossEntropy().loss(forward, _batch(held_out))  # type: ignore[arg-type]
    first_met = (train[:2], train[2:], held_out)
    assert calls == [evened(_batch(rows)).tokens for rows in first_met]


def _rows_with_a_prefix() -> list[Tokens]:
    """Five rows that begin with the same ten tokens; the last is the beginning of the first."""
    begun = [row.ids_N.copy() for row in examples(4, vocabulary=VOCABULARY, seed=1)]
    ids = [np.concatenate([np.arange(10, dtype=np.int32), rest]) for rest in begun]
    ids.append(ids[0][:12])
    weights = [np.r_[np.zeros(8), np.ones(len(row) - 8)].astype(np.float32) for row in ids]
    return [
        Tokens(Origin("prefix.jsonl", n), row, weight, len(row))
        for n, (row, weight) in enumerate(zip(ids, weights, strict=True))
    ]


@pytest.mark.parametrize("method", CASES)
def test_shared_prefixes_have_the_states_of_a_sequence_through_them(method: str) -> None:
    """Whatever segments a sequence is laid into, it is met once."""
    base, rows = _base(tiny("llama"), method, **CASES[method]), _rows_with_a_prefix()
    forward = _opened(base, rows).forward
    assert forward is not None
    forward.refill([on_device(pack(rows, share=True), CPU)])
    calls = _counted(base)
    for chosen in (rows, rows[:1], rows[::-1], rows[2:]):
        plain = _outcome(base.model, base.forward, chosen)
        calls.clear()
        for share in (True, False):
            assert_near(_outcome(base.model, forward, chosen, share), plain)
        assert not calls


def test_a_file_keeps_what_memory_keeps_and_leaves_nothing(tmp_path: Path) -> None:
    base = _base(tiny("llama"), "last_layers")
    in_memory = _opened(base)
    on_disk = _opened(base, budget=Budget(0, 1 << 30, tmp_path))
    assert (in_memory.place, on_disk.place) == ("memory", "disk")
    assert str(tmp_path) in on_disk.note
    assert on_disk.bytes == sum(map(len, ROWS)) * 32 * 4
    assert not list(tmp_path.iterdir())  # nothing that a kill could leave behind
    for _ in range(2):
        left, right = (_outcome(base.model, t.forward, ROWS) for t in (in_memory, on_disk))
        assert all(torch.equal(left[name], right[name]) for name in right)


def test_bfloat16_states_are_kept_as_they_are(tmp_path: Path) -> None:
    base = _base(tiny("llama").to(torch.bfloat16), "last_layers")
    for budget in (MEMORY, Budget(0, 1 << 30, tmp_path)):
        trunk = _opened(base, budget=budget)
        assert trunk.bytes == sum(map(len, ROWS)) * 32 * 2
        plain = base.forward.hidden_at_sites(_batch(ROWS))
        for _ in range(2):
            assert torch.equal(trunk.forward.hidden_at_sites(_batch(ROWS)), plain)  # type: ignore


def test_no_room_is_said_and_the_plain_path_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = _base(tiny("llama"), "last_layers")
    trunk = _asked(base, budget=Budget(10, 20, tmp_path))
    assert trunk.forward is None
    assert "run in every epoch: its states would take" in trunk.note

    def full(*args: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    trunk = _asked(base, budget=Budget(10, 1 << 30, tmp_path))
    assert trunk.forward is None
    assert "No space left on device" in trunk.note
    assert not list(tmp_path.iterdir())


def test_sequences_nobody_announced_take_the_plain_path() -> None:
    base = _base(tiny("llama"), "last_layers")
    forward = _opened(base, ROWS[:2]).forward
    assert forward is not None
    for rows in (ROWS[:2], ROWS, ROWS[:2]):
        assert_near(_outcome(base.model, forward, rows), _outcome(base.model, base.forward, rows))


@pytest.mark.parametrize("key", ["attention_dropout", "resid_pdrop", "embd_pdrop"])
def test_dropout_below_the_cut_is_the_plain_path(key: str) -> None:
    base = _base(tiny("phi", **{key: 0.1}), "last_layers")
    trunk = _asked(base)
    assert trunk.forward is None
    assert "it has dropout" in trunk.note


def test_dropout_of_late_adapters_is_above_the_cut() -> None:
    base = _base(tiny("llama"), "lora", layers=1, dropout=0.3)
    forward = _opened(base).forward
    base.model.train()
    ended = []
    for path in (base.forward, forward):
        torch.manual_seed(3)
        ended.append(_outcome(base.model, path, ROWS))
    assert_near(*ended)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_nothing_is_kept_where_nothing_below_is_frozen(method: str) -> None:
    trunk = _asked(_base(tiny("llama"), method))
    assert trunk == Trunk(None, "")


def test_a_trained_embedding_is_below_every_cut() -> None:
    """Its gradient would be lost; the probe finds that."""
    base = _base(tiny("llama"), "last_layers")
    base.model.get_input_embeddings().requires_grad_(True)
    trunk = _asked(base)
    assert trunk.forward is None
    assert "gives other results than as a whole" in trunk.note


@pytest.mark.parametrize(
    ("path", "method", "reason"),
    [
        (FullLogitsForward, "head", "the logits of LlamaForCausalLM are more than a linear head"),
        (PaddedForward, "last_layers", "LlamaForCausalLM takes the padded path, which is not cut"),
    ],
)
def test_a_path_that_cannot_be_cut_says_so(path: type, method: str, reason: str) -> None:
    base = _base(tiny("llama"), method)
    trunk = _asked(replace(base, forward=path(base.model)))
    assert trunk.forward is None
    assert reason in trunk.note


def test_padded_rows_feed_a_trained_head() -> None:
    """Only the layers need the packed path: the head's states come from any."""
    base = _base(tiny("llama"), "head")
    base = replace(base, forward=PaddedForward(base.model))
    forward = _opened(base).forward
    for rows in (ROWS, ROWS[2:]):
        assert_near(_outcome(base.model, forward, rows), _outcome(base.model, base.forward, rows))
