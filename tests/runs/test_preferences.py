"""Runs that learn from comparisons: the whole act, and that nothing of it is lost by a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import assert_same_training, metrics_of, nothing_measured, opened, recipe
from tunesmith.core.errors import DataError, RecipeError, RunFolderError, Unsupported
from tunesmith.core.files import read_json
from tunesmith.core.ports import Silent
from tunesmith.core.records import Tokens
from tunesmith.data.lay_compared import known_tokens
from tunesmith.data.pack import pack
from tunesmith.engine.loop import on_device
from tunesmith.objectives.cross_entropy import nll_of_batch
from tunesmith.runs import plan as planning
from tunesmith.runs.compare import compare_runs
from tunesmith.runs.evaluate import evaluate
from tunesmith.runs.preferences import references as passes
from tunesmith.runs.setup import set_up
from tunesmith.runs.train import train

COLOURS = ("red", "green", "blue", "white")


@pytest.fixture(autouse=True)
def _unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_measure", nothing_measured)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Short answers are preferred; the question is long enough to be worth sharing."""
    lines = []
    for number in range(60):
        colour = COLOURS[number % 4]
        prompt = f"Box {number} of the long row of boxes is painted in {colour}. Which colour?"
        rejected = f"The colour of the box that you ask about is {colour}."
        lines.append({"prompt": prompt, "chosen": f"It is {colour}.", "rejected": rejected})
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _recipe(base: Path, data: Path, kind: str = "dpo", **fields: Any) -> Any:
    return recipe(
        base,
        data,
        **{"objective__kind": kind, "engine__learning_rate": 3e-3, "data__checks": "warn"} | fields,
    )


@pytest.mark.parametrize("kind", ["dpo", "simpo", "orpo", "cpo", "kto", "bco"])
def test_every_objective_learns_which_answer_is_better(
    tiny_base: Path, pairs: Path, tmp_path: Path, kind: str
) -> None:
    asked = _recipe(tiny_base, pairs, kind, engine__max_steps=16)
    run = train(asked, tmp_path / "run")
    steps = [line for line in metrics_of(tmp_path / "run") if "loss" in line and "lr" in line]
    assert steps[-1]["loss"] < steps[0]["loss"]
    learned = run.verdict["learned"]
    assert learned["low"] > 0.5, learned
    assert (tmp_path / "run" / "references").exists() == (kind in ("dpo", "kto", "bco"))


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_run_killed_between_reference_passes_ends_in_the_same_bits(
    tiny_base: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(passes, "SHARE", 7)
    asked = _recipe(tiny_base, pairs, model__method=method, evaluate__level="none")
    train(asked, tmp_path / "unbroken")
    kept = passes.write_bytes
    counted: list[Path] = []

    def killed(path: Path, data: bytes) -> None:
        if len(counted) == 5:
            raise KeyboardInterrupt
        counted.append(path)
        kept(path, data)

    monkeypatch.setattr(passes, "write_bytes", killed)
    with pytest.raises(BaseException, match="Stopped"):
        train(asked, tmp_path / "killed")
    monkeypatch.setattr(passes, "write_bytes", kept)
    before = {path: path.stat().st_mtime_ns for path in counted}
    train(None, tmp_path / "killed", resume=True)
    assert {path: path.stat().st_mtime_ns for path in counted} == before
    assert_same_training(tmp_path / "killed", tmp_path / "unbroken")


def test_the_reference_is_the_base_with_its_adapter_off(
    tiny_base: Path, pairs: Path, tmp_path: Path
) -> None:
    """Answer by answer and token by token, as computed alone and without a shared prefix."""
    setup = set_up(_recipe(tiny_base, pairs))
    rows: list[Tokens] = [setup.prepared.train[number] for number in range(10)]
    base = opened(tiny_base, "lora").base
    known = known_tokens()
    passes.references(base, rows, 200, tmp_path / "kept", known, Silent())
    for row in rows:
        alone = -nll_of_batch(
            base.forward, on_device(pack([row], share=False), torch.device("cpu"))
        )
        found = known.of([row])
        assert found is not None
        np.testing.assert_allclose(found, alone.numpy(), atol=1e-5)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", None])
def test_a_damaged_reference_is_named(
    tiny_base: Path, pairs: Path, tmp_path: Path, damage: bytes | None
) -> None:
    setup = set_up(_recipe(tiny_base, pairs))
    rows: list[Tokens] = [setup.prepared.train[number] for number in range(6)]
    base, folder = opened(tiny_base, "lora").base, tmp_path / "kept"
    passes.references(base, rows, 200, folder, known_tokens(), Silent())
    (file,) = folder.glob("*.npy")
    if damage is not None:
        file.write_bytes(damage)
    kept = rows if damage is not None else rows[:5]
    with pytest.raises(RunFolderError, match=r"00000000.npy .* Remove the file, and resume"):
        passes.references(base, kept, 200, folder, known_tokens(), Silent())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "Hi?", "chosen": "Yes.", "rejected": "Yes."}, "are the same"),
        ({"prompt": "Hi?", "chosen": "Yes.", "rejected": ""}, '"rejected" is empty'),
        ({"prompt": "Hi?", "chosen": "Yes."}, "chosen"),
        ({"prompt": "Hi?", "completion": "Yes."}, "learns? pairs|trains pairs"),
    ],
)
def test_a_bad_pair_is_named_with_its_line(
    tiny_base: Path, pairs: Path, row: dict[str, str], message: str
) -> None:
    with pairs.open("a") as file:
        file.write(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=rf"pairs.jsonl:61: .*{message}"):
        set_up(_recipe(tiny_base, pairs))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"objective__kind": "simpo", "preference__loss": "ipo"}, "is read by objective.kind=dpo"),
        ({"preference__margin": 0.5}, "is read by objective.kind=simpo"),
        ({"preference__loss": "ipo", "preference__label_noise": 0.1}, "contradict each other"),
        ({"preference__loss": "robust"}, "contradict each other"),
        ({"objective__kl_to_base": 0.5}, "a larger preference.beta keeps the model near"),
        ({"data__canaries": 2, "data__fill_in_the_middle": 0.0}, "data.canaries plants texts"),
        ({"evaluate__most_forgetting": 0.1}, "chooses the strength of an adapter"),
    ],
)
def test_keys_that_say_nothing_here_are_refused(
    tiny_base: Path, pairs: Path, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        _recipe(tiny_base, pairs, **fields)


def test_acts_for_written_answers_are_refused(tiny_base: Path, pairs: Path, tmp_path: Path) -> None:
    run = train(_recipe(tiny_base, pairs, evaluate__level="none"), tmp_path / "run")
    with pytest.raises(Unsupported, match="learns which answers are better"):
        compare_runs([run.path, tmp_path])
    with pytest.raises(Unsupported, match="learns which answers are better"):
        evaluate(run, pairs)


def test_the_shared_prompt_is_computed_once(tiny_base: Path, pairs: Path, tmp_path: Path) -> None:
    train(_recipe(tiny_base, pairs, evaluate__level="none"), tmp_path / "run")
    setup = set_up(_recipe(tiny_base, pairs))
    per_epoch = int(setup.prepared.train.lengths.sum())
    steps = [line for line in metrics_of(tmp_path / "run") if "lr" in line]
    computed = sum(line["tokens"] for line in steps)
    plan = read_json(tmp_path / "run" / "plan.json")
    assert computed / len(steps) < 0.8 * per_epoch / plan["steps_per_epoch"]
