"""Training the head alone: the frozen body reads each text once, and the result is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.labelling import QUICK, resumed_in_the_same_bits, rows, save_base, tagged, write
from tunesmith.core.files import read_json, write_json
from tunesmith.core.ports import Silent
from tunesmith.models.body import PackedBody
from tunesmith.recipe import Recipe, load
from tunesmith.runs.foresee import foresee
from tunesmith.runs.labels import known
from tunesmith.runs.train import train

LINES = {"classify": rows, "tag": tagged}


def _recipe(kind: str, base: Path, data: str, *more: str) -> Recipe:
    asked = [f"objective.kind={kind}", f"model.base={base}", f"data.train={data}", *QUICK]
    quick = ["model.method=head", "engine.epochs=3", "evaluate.level=none"]
    return load(None, [*asked, *quick, "engine.learning_rate=0.01", *more])


@pytest.mark.parametrize(("kind", "family"), [("classify", "bert"), ("tag", "llama")])
def test_the_head_learns_the_same_from_what_is_known(
    kind: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = save_base(tmp_path / "base", family)
    config = read_json(base / "config.json")
    write_json(base / "config.json", config | {"hidden_dropout_prob": 0.3})  # not of the body
    data = write(tmp_path / "rows.jsonl", LINES[kind](60))
    asked, read = PackedBody.hidden_at_sites, []

    def counted(path: PackedBody, batch: Any) -> torch.Tensor:
        read.append(len(batch.origins))
        return asked(path, batch)

    monkeypatch.setattr(PackedBody, "hidden_at_sites", counted)
    counts, saved = {}, {}
    for name in ("once", "always"):
        read.clear()
        run = train(_recipe(kind, base, data), tmp_path / name)
        files = run.artefact.rglob("*.safetensors")
        saved[name] = {key: value for file in files for key, value in load_file(file).items()}
        counts[name] = sum(read)
        plan = read_json(tmp_path / name / "plan.json")
        assert bool(plan["predicted"]["trunk_seconds"]) == (name == "once")
        assert ("computed once" in plan["paths"]["trunk"]) == (name == "once")
        monkeypatch.setattr(known, "MEMORY_SHARE", 0)
    assert counts["once"] <= counts["always"] - 60
    assert any("linear" in key or "score" in key for key in saved["once"]), "the head is there"
    for key, weight in saved["always"].items():
        torch.testing.assert_close(saved["once"][key], weight, atol=1e-5, rtol=1e-4, msg=key)


def test_a_resumed_head_has_the_same_bits_and_its_plan_counts_the_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = save_base(tmp_path / "base", "bert")
    data = write(tmp_path / "rows.jsonl", rows(60))
    recipe = _recipe("classify", base, data, "engine.checkpoint_every=2", "engine.keep_best=false")
    resumed_in_the_same_bits(recipe, tmp_path)
    plan = foresee(recipe, Silent())
    assert plan.predicted.trunk > 0
    assert plan.predicted.validation == 0, "to ask the head alone"
    monkeypatch.setattr(known, "MEMORY_SHARE", 0)
    assert foresee(recipe, Silent()).predicted.validation > 0
    assert "for what is frozen, once, and" in plan.in_short()
