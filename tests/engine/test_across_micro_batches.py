"""An objective that looks at all micro-batches of a step before each of them learns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.labelling import save_base
from tests.support import SETTINGS, Recorder, gradients_of, weights_of
from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import Silent
from tunesmith.data import PackedBatches, prepare
from tunesmith.data.classes import Targets
from tunesmith.data.labelled import LabelRenderer
from tunesmith.data.lay import Layer
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import Loop
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.labelled import LabelModel, open_body
from tunesmith.models.open import describe
from tunesmith.objectives.embeddings import Embeddings
from tunesmith.recipe import DataSection

COMMON = ("my", "order", "is", "the", "parcel", "and", "still", "today", "again", "please")
EIGHT = 60
"""Tokens of which a step of eight rows needs several micro-batches."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder with dropout, and rows of texts: pairs, and a triplet in three."""
    folder = tmp_path_factory.mktemp("embed")
    base = save_base(folder / "bert", "bert")
    config = json.loads((base / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.1}
    (base / "config.json").write_text(json.dumps(config))
    rows = []
    for n in range(24):
        words = [COMMON[(n * 7 + k * k) % 10] for k in range(3 + n % 5)]
        row = {"anchor": " ".join(words), "positive": " ".join(reversed(words)) + " lost"}
        rows.append(row | ({"negative": "torn " + COMMON[n % 10]} if n % 3 == 0 else {}))
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def _loop(folder: Path, out: Path, budget: int, objective: Any = None, **other: Any) -> Loop:
    described = describe(str(folder / "bert"))
    body, path = open_body(described, "float32", "cpu")
    model = LabelModel(body, path, outputs=0, pooling="mean", seed=0)
    data = DataSection(train=(str(folder / "rows.jsonl"),), validation_share=0.0)
    prepared = prepare(data, "embed", LabelRenderer(described.tokenizer), 64, lambda rows: 0.0)  # type: ignore[arg-type]
    batches = PackedBatches(
        prepared.train,
        batch_size=8,
        tokens_per_micro_batch=budget,
        seed=0,
        share=False,
        mix=prepared.mix,
        lay=Layer("mean", Targets("similarity", ())),
    )
    out.mkdir()
    return Loop(
        model,
        model,  # type: ignore[arg-type]  # it is asked for features
        objective or Embeddings(0.1),
        batches,
        replace(SETTINGS, total_steps=3, **other),
        validate=None,
        checkpoints=Checkpoints(out, 2),
        watcher=Silent(),
    )


def test_one_large_micro_batch_is_several_small_ones(folder: Path, tmp_path: Path) -> None:
    """Without dropout, whose draws depend on the number of the micro-batch."""
    loops = [_loop(folder, tmp_path / str(budget), budget) for budget in (10_000, EIGHT)]
    for loop in loops:
        for module in loop._module.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        for layer in loop._module.body.encoder.layer:  # type: ignore[union-attr]
            layer.attention.self.attention_dropout = 0.0
            layer.attention.self.dropout.p = 0.0
    counts = [len(loop._batches.step(0, 0)) for loop in loops]
    assert counts[0] == 1
    assert counts[1] >= 3
    sums = [loop._gradients(0, 0.001)[1] for loop in loops]
    # As one vector: the bias of keys has no gradient, for attention does not know of it.
    whole, parts = (
        torch.cat([each.flatten() for each in gradients_of(loop._module).values()])
        for loop in loops
    )
    assert float((whole - parts).norm() / whole.norm()) < 1e-5
    assert sums[1].count == sums[0].count == 8
    assert sums[1].sum == pytest.approx(sums[0].sum, rel=1e-5)


class _Drawing(Embeddings):
    """Notes what is drawn for each micro-batch, and in which pass."""

    def __init__(self) -> None:
        super().__init__(0.1)
        self.seen: list[tuple[bool, torch.Tensor]] = []

    def embed(self, model: Any, batch: Batch) -> torch.Tensor:
        found = super().embed(model, batch)
        self.seen.append((torch.is_grad_enabled(), found.detach().clone()))
        return found


def test_both_passes_drop_out_the_same(folder: Path, tmp_path: Path) -> None:
    objective = _Drawing()
    loop = _loop(folder, tmp_path / "run", EIGHT, objective)
    count = len(loop._batches.step(0, 0))
    loop._update(0)
    first, second = objective.seen[:count], objective.seen[count:]
    assert [graph for graph, _ in objective.seen] == [False] * count + [True] * count
    for (_, without), (_, with_graph) in zip(first, second, strict=True):
        torch.testing.assert_close(without, with_graph)


class _Short(Embeddings):
    """No micro-batch of more than so many tokens fits, in one of the two passes."""

    def __init__(self, room: int, graph: bool) -> None:
        super().__init__(0.1)
        self._room, self._graph = room, graph

    def embed(self, model: Any, batch: Batch) -> torch.Tensor:
        if batch.tokens > self._room and torch.is_grad_enabled() == self._graph:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().embed(model, batch)


@pytest.mark.parametrize("graph", [False, True], ids=["without a graph", "with one"])
def test_where_memory_runs_out_it_goes_on_with_smaller_ones(
    folder: Path, tmp_path: Path, graph: bool
) -> None:
    short = _loop(folder, tmp_path / "short", 2 * EIGHT, _Short(EIGHT, graph))
    short._watcher = told = Recorder()
    short.run(StopRequest())
    budget = short._batches.tokens_per_micro_batch
    small = _loop(folder, tmp_path / "small", budget)
    small.run(StopRequest())
    assert budget <= EIGHT
    assert any("Memory ran out" in note for note in told.notes)
    ours, theirs = weights_of(short._module), weights_of(small._module)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_step_has_whole_rows(folder: Path, tmp_path: Path) -> None:
    batches = _loop(folder, tmp_path / "run", EIGHT)._batches
    assert batches.steps_per_epoch == 3, "batch_size counts rows"
    met: set[Any] = set()
    for index in range(3):
        step = batches.step(1, index)
        parts = [int(part) for batch in step for part in batch.parts_B]
        origins = [origin for batch in step for origin in batch.origins]
        assert parts.count(0) == parts.count(1) == len(set(origins)) == 8
        for origin in set(origins):
            own = [part for part, other in zip(parts, origins, strict=True) if other == origin]
            assert own == list(range(len(own)))
        met |= set(origins)
    assert len(met) == 24


def test_a_loss_of_one_micro_batch_is_asked_for_no_other(folder: Path, tmp_path: Path) -> None:
    objective = _Drawing()
    loop = _loop(folder, tmp_path / "run", 10_000, objective)
    loop._update(0)
    assert len(objective.seen) == 1
    assert isinstance(objective.loss(loop._model, _ready(loop)), LossSum)


def _ready(loop: Loop) -> Batch:
    return loop._ready(loop._batches.step(0, 0)[0], 0, 0)
