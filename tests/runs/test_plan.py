"""The plan: what is laid out is what is trained, and planning leaves no trace in the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support import (
    SETTINGS,
    LeaveAt,
    Left,
    Recorder,
    examples,
    nothing_measured,
    opened,
    recipe,
)
from tunesmith.core.batch import ROOT
from tunesmith.core.errors import Unsupported
from tunesmith.core.files import read_json
from tunesmith.data.loader import PackedBatches
from tunesmith.data.pack import pack
from tunesmith.engine.optimizers import embedding_names
from tunesmith.models.forward import evened_size
from tunesmith.models.methods import Tuned
from tunesmith.objectives import OBJECTIVES
from tunesmith.recipe.optimizers import RULES, state_bytes
from tunesmith.runs import plan as planning
from tunesmith.runs import train as training
from tunesmith.runs.calibrate import Calibration, Rates, Sample, fit
from tunesmith.runs.foresee import foresee
from tunesmith.runs.memory import Meter, Room
from tunesmith.runs.train import train
from tunesmith.runs.workload import Shape, Work, first_segments, lay_out, work_of

SHAPE = Shape(weights=1000, head=100, layers=2, width=10, padded=False)


def test_predicted_and_measured_stand_together(
    tiny_base: Path, colours: Path, tmp_path: Path
) -> None:
    """Tokens are known exactly; the rest has the same names on both sides."""
    told = Recorder()
    run = train(recipe(tiny_base, colours, evaluate__level="none"), tmp_path / "run", watcher=told)
    plan = read_json(run.folder.plan)
    predicted, measured = plan["predicted"], plan["measured"]
    assert predicted.keys() > measured.keys() - {"steps"}
    assert predicted["tokens"] == measured["tokens"]
    assert predicted["training_seconds"] > predicted["seconds"] > 0
    assert measured["training_seconds"] >= measured["seconds"]
    assert predicted["peak_memory_bytes"] > 50e6
    assert set(plan["paths"]) >= {"forward", "head"}
    before, after = (next(n for n in told.notes if n.startswith(w)) for w in ("About", "Planned"))
    assert "to train" in before
    assert "GB of" in before
    assert "took" in after
    assert "planned a peak of" in after


@pytest.mark.parametrize("method", ["lora", "full"])
def test_planning_changes_no_bit_of_the_result(
    tiny_base: Path,
    colours: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    """With dropout, which draws from the generators that calibration draws from, too."""
    dropout = 0.2 if method == "lora" else 0.0
    asked = recipe(
        tiny_base,
        colours,
        model__method=method,
        model__dropout=dropout,
        evaluate__level="none",
        engine__max_steps=4,
    )
    planned = train(asked, tmp_path / "planned")
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    blind = train(asked, tmp_path / "blind")
    for file in sorted(planned.artefact.glob("*.safetensors")):
        assert file.read_bytes() == (blind.artefact / file.name).read_bytes()


def test_calibration_leaves_the_model_as_it_was(tiny_base: Path) -> None:
    tuned = opened(tiny_base, "lora", dropout=0.3)
    tuned.module.eval()
    weights = {name: weight.detach().clone() for name, weight in tuned.module.named_parameters()}
    drawn = torch.get_rng_state()
    calibration, work = _calibration(tuned), lay_out(_batches(), 6, padded=False)
    passes = calibration.passes(work, lambda rates: rates.seconds(SHAPE, work.total))
    update = calibration.update(SETTINGS)
    assert passes.samples[0].seconds > 0
    # AdamW keeps two moments of 4 bytes for each weight, and a count for each tensor.
    tensors = sum(weight.requires_grad for weight in tuned.module.parameters())
    assert update.optimizer_bytes == 8 * tuned.trainable + 4 * tensors
    assert torch.equal(torch.get_rng_state(), drawn)
    assert not any(module.training for module in tuned.module.modules())
    for name, weight in tuned.module.named_parameters():
        assert torch.equal(weight, weights[name])
        assert weight.grad is None
        assert not weight._post_accumulate_grad_hooks


@pytest.mark.parametrize(
    ("key", "memory"),
    [("adafactor", "low"), ("galore", "normal"), ("galore", "low"), ("schedule_free", "normal")],
)
def test_the_plan_counts_the_state_of_an_optimizer(tiny_base: Path, key: str, memory: str) -> None:
    tuned = opened(tiny_base)
    embeddings = embedding_names(tuned.module)
    update = _calibration(tuned).update(replace(SETTINGS, optimizer=key, memory=memory))
    assert update.optimizer_bytes == sum(
        state_bytes(RULES[key], tuple(w.shape), w.ndim == 2 and name not in embeddings)
        for name, w in tuned.module.named_parameters()
    )


def test_calibration_stops_where_memory_would_run_out(tiny_base: Path) -> None:
    """What does not fit is not tried, and not measured: the small part speaks for it."""
    calibration = _calibration(opened(tiny_base), free=0.0)
    work = lay_out(_batches(), 6, padded=False)
    passes = calibration.passes(work, lambda rates: 1e9)
    assert [sample.work for sample in passes.samples] == [
        work_of(first_segments(work.typical, 2), False)
    ]


def _calibration(tuned: Tuned, free: float = 1e12) -> Calibration:
    meter = Meter(tuned.base.model.device)
    return Calibration(tuned, OBJECTIVES["sft"](), SHAPE, meter, free, keeps_gradients=True)


def _batches() -> PackedBatches:
    return PackedBatches(examples(48), batch_size=8, tokens_per_micro_batch=10_000, seed=3)


def test_a_resumed_run_keeps_its_plan(
    tiny_base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with pytest.raises(Left):
        train(recipe(tiny_base, colours, evaluate__level="none"), out, watcher=LeaveAt(5))
    before = read_json(out / "plan.json")
    monkeypatch.setattr(training, "make_plan", None)  # calling it would fail
    after = read_json(train(None, out, resume=True).folder.plan)
    assert after["predicted"] == before["predicted"]
    assert after["measured"]["steps"] == 8


def test_what_does_not_fit_is_refused_before_anything_is_written(
    tiny_base: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "room", lambda device: Room(1_000_000, "a test"))
    with pytest.raises(Unsupported, match=r"need about .* a test leaves it 0\.00 GB.*not begun"):
        train(recipe(tiny_base, colours), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_foreseeing_writes_nothing(tiny_base: Path, colours: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    plan = foresee(recipe(tiny_base, colours))
    assert sorted(tmp_path.rglob("*")) == before
    assert plan.predicted.judging > 0
    assert plan.facts["steps"] == 8


def test_work_is_counted_as_attention_computes_it() -> None:
    """Against a count of every pair: a token sees its ancestors' tokens and those before it."""
    rows = examples(3)
    shared = [replace(row, ids_N=np.concatenate([np.arange(20, dtype=np.int32), row.ids_N]),
                      weights_N=np.concatenate([np.zeros(20, np.float32), row.weights_N]))
              for row in rows]  # fmt: skip
    batch = pack(shared)
    pairs = 0.0
    for start, end, parent in batch.segments:
        above, upper = 0, parent
        while upper != ROOT:
            segment = batch.segments[upper]
            above, upper = above + segment.end - segment.start, segment.parent
        pairs += sum(above + place + 0.5 for place in range(end - start))
    assert work_of(batch, padded=False) == Work(
        1, evened_size(batch.tokens), pairs, len(batch.sites_S)
    )
    longest = max(map(len, shared))
    assert work_of(batch, padded=True).tokens == 3 * longest


def test_a_part_of_a_batch_is_a_batch() -> None:
    rows = examples(5)
    whole, alone = first_segments(pack(rows), 2), pack(rows[:2])
    for name in ("tokens_T", "positions_T", "sites_S", "targets_S", "weights_S", "owner_S"):
        assert np.array_equal(getattr(whole, name), getattr(alone, name))


def test_a_long_run_is_laid_out_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.runs.workload.LAID_OUT", 10)
    batches = _batches()
    known = lay_out(batches, 60, padded=False)
    true = sum(b.tokens for s in range(60) for b in batches.step(s // 6, s % 6))
    assert known.tokens == pytest.approx(true, rel=0.1)
    assert known.total.micro == 60


def test_rates_are_found_again_and_never_negative() -> None:
    true = Rates(0.02, 3e-9)
    works = [Work(1, n, n * 20, n / 2) for n in (100, 400, 900)]
    samples = [Sample(work, true.seconds(SHAPE, work), 0, 0) for work in works]
    found = fit(samples, SHAPE)
    assert (found.fixed, found.each) == (pytest.approx(0.02), pytest.approx(3e-9))
    steep = [s._replace(seconds=s.work.tokens**2 * 1e-6) for s in samples]
    assert fit(steep, SHAPE).fixed == 0
    assert fit(samples[:1], SHAPE).seconds(SHAPE, works[0]) == pytest.approx(samples[0].seconds)
