"""Runs over sources mixed by weight: what is planned, accounted for, and resumed bit by bit."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import colour_rows
from tests.support import Recorder, SignalAt, assert_same_training, metrics_of, recipe
from tunesmith.core.batch import Batch
from tunesmith.core.errors import DataError, Interrupted
from tunesmith.core.files import read_jsonl
from tunesmith.models.trunk_cuts import LayerCut
from tunesmith.recipe import Recipe
from tunesmith.runs.assembly import batches_of
from tunesmith.runs.setup import set_up
from tunesmith.runs.train import train


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, Path]:
    """40 rows to learn and 30 of general data."""
    rows = [json.dumps(row) + "\n" for row in colour_rows(70)]
    own, general = tmp_path / "own.jsonl", tmp_path / "general.jsonl"
    own.write_text("".join(rows[:40]), encoding="utf-8")
    general.write_text("".join(rows[40:]), encoding="utf-8")
    return own, general


def _asked(base: Path, sources: tuple[Path, Path], weight: float, **fields: Any) -> Recipe:
    own, general = sources
    mixed = [str(own), {"path": str(general), "weight": weight}]
    given = {"evaluate__level": "none", "engine__max_steps": None, "engine__epochs": 2, **fields}
    return recipe(base, own, data__train=mixed, **given)


def test_what_is_planned_is_trained_and_the_ledger_counts_rows_once(
    tiny_base: Path, sources: tuple[Path, Path], tmp_path: Path
) -> None:
    watcher = Recorder()
    run = train(_asked(tiny_base, sources, 2), tmp_path / "run", watcher=watcher)
    plan, ledger = (json.loads((run.path / n).read_text()) for n in ("plan.json", "ledger.json"))
    own, general = ledger["files"]
    assert (own["weight"], general["weight"]) == (1.0, 2.0)
    assert own["trained"] + own["held_out"] == 40
    assert general["trained"] + general["held_out"] == 30
    assert own["held_out"] > 0 < general["held_out"]
    assert ledger["trained"] == own["trained"] + general["trained"]
    drawn = own["trained"] + 2 * general["trained"]
    assert plan["steps_per_epoch"] == -(-drawn // 4)
    assert plan["steps"] == 2 * plan["steps_per_epoch"]
    steps = [line for line in metrics_of(run.path) if "loss" in line]
    learned = sum(line["supervised_tokens"] for line in steps)
    assert learned == 2 * plan["supervised_tokens_per_epoch"]
    by_file = {sources[0]: 0, sources[1]: 0}
    for line in read_jsonl(run.path / "ledger.jsonl"):
        if line["outcome"] == "trained":
            by_file[Path(line["origin"].rpartition(":")[0])] += line["supervised_tokens"]
    assert plan["supervised_tokens_per_epoch"] == by_file[sources[0]] + 2 * by_file[sources[1]]
    assert any("weight 2, so an epoch sees" in note for note in watcher.notes)


def _depending_on_the_batch(frozen: Callable[[Any, Batch], torch.Tensor]) -> Any:
    return lambda cut, batch: frozen(cut, batch) * (1 + 1e-7 * batch.tokens)


@pytest.mark.parametrize(
    ("fields", "weight"),
    [
        ({"model__method": "lora", "data__together": True}, 1.5),
        ({"model__method": "last_layers", "model__layers": 1}, 0.3),
    ],
)
def test_stopped_within_an_epoch_it_ends_in_the_same_bits(
    tiny_base: Path,
    sources: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    weight: float,
) -> None:
    """Though kept states depend on the batch where a row was first met, which with a weight below
    1 may be in a later epoch than the first."""
    monkeypatch.setattr(LayerCut, "frozen", _depending_on_the_batch(LayerCut.frozen))
    asked = _asked(tiny_base, sources, weight, engine__epochs=4, engine__batch_size=7, **fields)
    unbroken = train(asked, tmp_path / "unbroken").path
    plan = json.loads((unbroken / "plan.json").read_text())
    stop = 2 * plan["steps_per_epoch"] + 3
    out = tmp_path / "stopped"
    with pytest.raises(Interrupted, match=f"after step {stop} of {plan['steps']}"):
        train(asked, out, watcher=SignalAt(signal.SIGTERM, stop))
    train(None, out, resume=True)
    assert_same_training(out, unbroken)
    assert bool(plan["trunk"]["kept"]) == (fields["model__method"] == "last_layers")


def test_what_an_epoch_meets_twice_is_kept(
    tiny_base: Path, sources: tuple[Path, Path], tmp_path: Path
) -> None:
    """And a source that no epoch meets again in the whole run is not a reason to keep any."""
    for weight, kept in ((2, "memory"), (0.5, "")):
        asked = _asked(
            tiny_base, sources, weight, engine__epochs=1, engine__validate_every=99,
            model__method="last_layers", model__layers=1,
        )  # fmt: skip
        out = train(asked, tmp_path / f"out{kept}").path
        assert json.loads((out / "plan.json").read_text())["trunk"]["kept"] == kept


def test_one_file_in_two_sources_is_refused(
    tiny_base: Path, sources: tuple[Path, Path], tmp_path: Path
) -> None:
    own, _ = sources
    asked = _asked(tiny_base, (own, own), 2)
    with pytest.raises(DataError, match=r"named more than once.*give it a weight"):
        train(asked, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_was_not_seen_is_not_measured_as_trained(
    tiny_base: Path, sources: tuple[Path, Path]
) -> None:
    """The sample of trained rows comes from what the first epoch sees."""
    setup = set_up(_asked(tiny_base, sources, 0.3))
    batches = batches_of(setup, share=True)
    steps = range(batches.steps_per_epoch)
    seen = {str(o) for step in steps for batch in batches.step(0, step) for o in batch.origins}
    sample = setup.prepared.seen_first(setup.recipe.engine.seed, in_order=False)
    assert {str(tokens.origin) for tokens in sample} == seen
    assert len(sample) < len(setup.prepared.train)
