"""Held near the base: the value, every gradient, and what it costs in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from tests.support import assert_near, examples, gradients_of, opened
from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.records import Tokens
from tunesmith.data.pack import pack
from tunesmith.engine.loop import on_device
from tunesmith.models.forward import FullLogitsForward, PackedForward
from tunesmith.models.methods import Tuned
from tunesmith.models.open import load_weights
from tunesmith.objectives import KlToBase, linear_head
from tunesmith.objectives.cross_entropy import CrossEntropy

WEIGHT = 0.7
VOCABULARY = 330
CPU = torch.device("cpu")


def _tuned(folder: Path, method: str = "full", moved: float = 0.2) -> Tuned:
    """A model that remembers its base and whose trained weights were moved away from it."""
    tuned = opened(folder, method).remembering()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in tuned.module.parameters():
            if weight.requires_grad:
                weight.add_(moved * torch.randn(weight.shape, generator=generator))
    return tuned


def _batch(rows: list[Tokens]) -> Batch:
    return on_device(pack(rows), CPU)


def _loss(tuned: Tuned, rows: list[Tokens], forward: object | None = None) -> LossSum:
    assert tuned.start
    objective = KlToBase(WEIGHT, tuned.start.restored)
    return objective.loss(forward or tuned.base.forward, _batch(rows))  # type: ignore[arg-type]


def _ours(
    tuned: Tuned, groups: list[list[Tokens]], forward: object | None = None
) -> tuple[LossSum, dict[str, torch.Tensor]]:
    """The loss over micro-batches, and its gradients."""
    tuned.module.zero_grad()
    total = LossSum(0.0, 0.0)
    for rows in groups:
        loss = _loss(tuned, rows, forward)
        loss.sum.backward()
        total = total.plus(replace(loss, sum=float(loss.sum.detach())))
    return total, gradients_of(tuned.module)


def _plainly(folder: Path, tuned: Tuned, rows: list[Tokens]) -> tuple[float, float]:
    """The same with the library's own forward of two whole models, full logits and F.kl_div."""
    base = load_weights(str(folder), "float32").eval()
    tuned.module.zero_grad()
    total = kl_total = torch.zeros(())
    for row in rows:
        ids, weights = torch.from_numpy(row.ids_N).long(), torch.from_numpy(row.weights_N[1:])
        logits = tuned.base.model(input_ids=ids[None]).logits[0, :-1]
        with torch.no_grad():
            before = base(input_ids=ids[None]).logits[0, :-1].log_softmax(-1)
        nll = cross_entropy(logits, ids[1:], reduction="none")
        kl = kl_div(logits.log_softmax(-1), before, reduction="none", log_target=True).sum(-1)
        total = total + ((nll + WEIGHT * kl) * weights).sum()
        kl_total = kl_total + (kl * weights).sum()
    total.backward()
    return float(total.detach()), float(kl_total.detach())


@pytest.mark.parametrize("chunk", [None, 7])
@pytest.mark.parametrize("method", ["full", "last_layers", "head", "lora"])
def test_loss_and_every_gradient_are_those_of_full_logits_and_kl_div(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, method: str, chunk: int | None
) -> None:
    if chunk:
        monkeypatch.setattr(linear_head, "CHUNK_LOGITS", 2 * chunk * VOCABULARY)
        monkeypatch.setattr(linear_head, "CACHED_LOGITS", 3 * VOCABULARY)
    tuned, rows = _tuned(tiny_base, method), examples(6)
    value, kl = _plainly(tiny_base, tuned, rows)
    wanted = gradients_of(tuned.module)
    loss, found = _ours(tuned, [rows])
    assert kl > 0.5
    assert loss.sum == pytest.approx(value, rel=1e-5)
    assert loss.extras["kl_to_base"] == pytest.approx(kl, rel=1e-4)
    assert loss.count == float(sum(row.weights_N[1:].sum() for row in rows))
    assert_near(found, wanted, tolerance=1e-4)


@pytest.mark.parametrize("path", [PackedForward, FullLogitsForward])
def test_any_head_gives_the_same(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, path: type
) -> None:
    """Through the model's own head, or with its logits for hidden states."""
    tuned, rows = _tuned(tiny_base), examples(6)
    wanted = _ours(tuned, [rows])
    monkeypatch.setattr(PackedForward, "linear_head", None)
    monkeypatch.setattr("tunesmith.objectives.beside._CHUNK", 7)
    found = _ours(tuned, [rows], path(tuned.base.model))
    assert found[0].sum == pytest.approx(wanted[0].sum, rel=1e-5)
    assert found[0].extras == pytest.approx(wanted[0].extras, rel=1e-4)
    assert_near(found[1], wanted[1])


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_model_that_learned_nothing_is_at_exactly_zero(tiny_base: Path, method: str) -> None:
    """And its loss is cross entropy, with the same gradient."""
    tuned, rows = _tuned(tiny_base, method, moved=0.0), examples(6)
    loss, found = _ours(tuned, [rows])
    assert loss.extras == {"kl_to_base": 0.0}
    tuned.module.zero_grad()
    plain = CrossEntropy().loss(tuned.base.forward, _batch(rows))
    plain.sum.backward()
    assert loss.sum == pytest.approx(float(plain.sum.detach()), rel=1e-6)
    assert_near(found, gradients_of(tuned.module))


def test_neither_micro_batches_nor_shared_prefixes_change_it(tiny_base: Path) -> None:
    tuned, draw = _tuned(tiny_base), np.random.default_rng(2)
    prefix = draw.integers(0, 300, 40).astype(np.int32)
    rows = [
        replace(row, ids_N=np.concatenate([prefix, row.ids_N]), weights_N=_behind(prefix, row))
        for row in examples(6)
    ]
    shared, alone = _ours(tuned, [rows]), _ours(tuned, [[row] for row in rows])
    assert _batch(rows).tokens < sum(map(len, rows))
    assert shared[0].sum == pytest.approx(alone[0].sum, rel=1e-6)
    assert shared[0].extras == pytest.approx(alone[0].extras, rel=1e-4)
    assert shared[0].count == alone[0].count
    assert_near(shared[1], alone[1])


def _behind(prefix: np.ndarray, row: Tokens) -> np.ndarray:
    return np.concatenate([np.zeros(len(prefix), dtype=np.float32), row.weights_N])
