"""Promise 1: 1×8 ≡ 8×1, packed ≡ one by one, packed path ≡ padded path: loss and every gradient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.support import (
    SETTINGS,
    assert_near,
    examples,
    gradients_of,
    loop_over,
    opened,
    weights_of,
)
from tunesmith.core.records import Tokens
from tunesmith.data.pack import pack
from tunesmith.engine.loop import on_device
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.forward import FullLogitsForward, PackedForward, PaddedForward
from tunesmith.models.methods import Tuned
from tunesmith.objectives.cross_entropy import CrossEntropy

CPU = torch.device("cpu")


def _gradients(
    tuned: Tuned, groups: Sequence[Sequence[Tokens]], forward: object | None = None
) -> tuple[float, float, dict[str, torch.Tensor]]:
    """Loss sum, count and gradients over micro-batches of packed examples."""
    tuned.module.zero_grad()
    total = count = 0.0
    for group in groups:
        loss = CrossEntropy().loss(forward or tuned.base.forward, on_device(pack(group), CPU))
        loss.sum.backward()
        total, count = total + float(loss.sum.detach()), count + loss.count
    return total, count, gradients_of(tuned.module)


@pytest.mark.parametrize("method", ["full", "last_layers", "lora"])
def test_packed_is_one_by_one_is_the_library(tiny_base: Path, method: str) -> None:
    tuned = opened(tiny_base, method)
    assert isinstance(tuned.base.forward, PackedForward)
    rows = examples(8)
    packed = _gradients(tuned, [rows])
    single = _gradients(tuned, [[row] for row in rows])
    assert packed[0] == pytest.approx(single[0], rel=1e-6)
    assert packed[1] == single[1]
    assert_near(packed[2], single[2])
    assert_near(packed[2], _library_gradients(tuned, rows))


def _library_gradients(tuned: Tuned, rows: Sequence[Tokens]) -> dict[str, torch.Tensor]:
    """The same sum through transformers' own forward, one example at a time, without our code."""
    tuned.module.zero_grad()
    for row in rows:
        ids = torch.from_numpy(row.ids_N).long()
        logits = tuned.base.model(input_ids=ids[None]).logits[0, :-1].float()
        nll = cross_entropy(logits, ids[1:], reduction="none")
        (nll * torch.from_numpy(row.weights_N[1:])).sum().backward()
    return gradients_of(tuned.module)


@pytest.mark.parametrize("path", [PaddedForward, FullLogitsForward])
def test_the_other_paths_equal_the_packed_one(tiny_base: Path, path: type) -> None:
    tuned = opened(tiny_base)
    rows = examples(8)
    packed = _gradients(tuned, [rows])
    other = _gradients(tuned, [rows], path(tuned.base.model))
    assert packed[0] == pytest.approx(other[0], rel=1e-6)
    assert_near(packed[2], other[2])


def test_attention_does_not_cross_examples(tiny_base: Path) -> None:
    """Changing one example leaves the hidden states of its neighbour bitwise as they were."""
    tuned = opened(tiny_base)
    first, second, other = examples(3)
    with torch.no_grad():
        kept = [
            tuned.base.forward.hidden_at_sites(on_device(pack([left, second]), CPU))
            for left in (first, other)
        ]
    assert torch.equal(kept[0][-second.sites :], kept[1][-second.sites :])


@pytest.mark.parametrize("method", ["full", "lora"])
def test_accumulation_does_not_change_the_updates(
    tiny_base: Path, tmp_path: Path, method: str
) -> None:
    """Eight examples in one micro-batch, or in eight: the same weights after six steps."""
    rows, ended = examples(24), []
    for name, budget in (("one", 10_000), ("eight", 1)):
        tuned = opened(tiny_base, method)
        loop = loop_over(tuned, rows, tmp_path / name, SETTINGS, budget=budget)
        assert len(loop._batches.step(0, 0)) == (8 if budget == 1 else 1)
        loop.run(StopRequest())
        ended.append(weights_of(tuned.module))
    for name, value in ended[0].items():
        torch.testing.assert_close(value, ended[1][name], rtol=1e-4, atol=1e-5)


def test_chunks_of_the_head_change_nothing(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned, rows = opened(tiny_base), examples(8)
    whole = _gradients(tuned, [rows])
    monkeypatch.setattr("tunesmith.objectives.linear_head.CHUNK_LOGITS", 7 * 330)
    chunked = _gradients(tuned, [rows])
    assert whole[0] == pytest.approx(chunked[0], rel=1e-6)
    assert_near(whole[2], chunked[2])
