"""What a run does to keep what the base knew: probes by file, own samples, adapter strength."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support import Recorder, recipe, saved_weights
from tunesmith.core.errors import DataError, RecipeError, RunFolderError
from tunesmith.core.files import read_json, read_jsonl
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.evaluate.measure import Measured
from tunesmith.evaluate.probes import GENERAL
from tunesmith.evaluate.strengths import Frontier
from tunesmith.runs.evaluate import evaluate
from tunesmith.runs.frontier import HALVINGS, STRENGTHS, Compared, compared_on
from tunesmith.runs.open import Run
from tunesmith.runs.setup import set_up
from tunesmith.runs.train import train

ALLOWED = 0.02
HARD: dict[str, Any] = {
    "data__validation_share": 0.5,
    "engine__learning_rate": 0.05,
    "engine__max_steps": 16,
    "engine__warmup": 0.1,
    "evaluate__examples": 0,
    "evaluate__max_new_tokens": 1,
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> tuple[Run, Recorder]:
    """A run that trains hard and may forget 2 %, with names of probes that overlap."""
    folder = tmp_path_factory.mktemp("keeping")
    for name in ("doors", "windows"):
        _texts(folder / "probes" / f"{name}.jsonl", 10)
    fields = {
        **HARD,
        "evaluate__level": "standard",
        "evaluate__most_forgetting": ALLOWED,
        "evaluate__probes": [str(folder / "probes"), str(folder / "probes" / "d*.jsonl")],
    }
    watcher = Recorder()
    return train(
        recipe(tiny_base, _rows(folder), **fields), folder / "run", watcher=watcher
    ), watcher


@pytest.fixture
def run(asked: tuple[Run, Recorder]) -> Run:
    return asked[0]


def _rows(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    words = ["stone", "river", "lamp", "paper", "cloud"]
    rows = [
        {"prompt": f"Say {words[n % 5]} {n}.", "completion": f"{words[n % 5].upper()} {n}!"}
        for n in range(96)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _texts(path: Path, count: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = [{"text": f"The {path.stem} of room {n} is open today."} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_each_file_of_a_folder_or_pattern_is_judged_once_and_by_itself(run: Run) -> None:
    files = run.verdict["kept"]["detail"]["files"]
    assert [Path(path).name for path in files] == [GENERAL, "doors.jsonl", "windows.jsonl"]
    assert [each["n"] for each in files.values()][1:] == [10, 10]


def test_probes_that_changed_stop_a_resumed_run(run: Run, tmp_path: Path) -> None:
    folder = shutil.copytree(run.path, tmp_path / "run")
    (folder / "verdict.json").unlink()
    probes = run.path.parent / "probes" / "doors.jsonl"
    before = probes.read_text()
    try:
        _texts(probes, 11)
        with pytest.raises(RunFolderError, match=r"doors\.jsonl changed since"):
            train(None, folder, resume=True)
    finally:
        probes.write_text(before)


def test_probes_that_match_nothing_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    data = _texts(tmp_path / "rows.jsonl", 20)
    asked = recipe(tiny_base, data, evaluate__probes=str(tmp_path / "none-*.jsonl"))
    with pytest.raises(DataError, match=r"none-\*\.jsonl"):
        train(asked, tmp_path / "run")


def test_the_base_writes_samples_once_and_both_sides_are_scored_on_them(run: Run) -> None:
    lines = read_jsonl(run.folder.samples)
    measured = Measured.from_json(read_json(run.folder.measured))
    assert measured.base
    assert measured.tuned
    assert len(lines) == len(measured.base.samples) == len(measured.tuned.samples) == 16
    counts = {len(line["ids"]) - line["opening"] for line in lines}
    assert counts == {int(score.count) for score in measured.base.samples} == {96}
    kl = run.verdict["kept"]["detail"]["samples"]["kl"]
    assert kl["value"] > 0
    assert kl["n"] == 16


def test_another_file_is_judged_with_the_same_probes_and_samples(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    rows = [{"prompt": f"Name {n}.", "completion": f"Name {n}!"} for n in range(12)]
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, ours = (each["kept"]["detail"] for each in (evaluate(run, other), run.verdict))
    assert found["files"].keys() == ours["files"].keys()
    kl = ours["samples"]["kl"]["value"]
    assert found["samples"]["kl"]["value"] == pytest.approx(kl, abs=1e-4)


def _frontier(run: Run) -> Frontier:
    found = Measured.from_json(read_json(run.folder.measured)).frontier
    assert found
    return found


def test_the_adapter_is_saved_at_the_strength_that_forgets_little_enough(
    run: Run,
) -> None:
    frontier = _frontier(run)
    detail = run.verdict["kept"]["detail"]["frontier"]
    assert detail["strength"] == frontier.saved < 1
    assert {each.strength for each in frontier.measured} >= set(STRENGTHS)
    assert len(frontier.measured) <= len(STRENGTHS) + HALVINGS
    (saved,) = (each for each in detail["points"] if each["strength"] == frontier.saved)
    assert saved["forgetting"]["high"] <= ALLOWED or frontier.saved == 0
    best = Checkpoints(run.folder.checkpoints, 2).load_best()
    for name, weight in saved_weights(run.path).items():
        (trained,) = (best[key] for key in best if key.replace(".default", "") == name)
        scale = frontier.saved if "lora_B" in name else 1.0
        assert torch.equal(weight, trained * scale), name


def test_the_parity_certificate_is_that_of_the_strength_saved(run: Run) -> None:
    assert run.verdict["parity"]["pass"] is True


def test_no_row_that_judges_chooses_the_strength(run: Run) -> None:
    measured = Measured.from_json(read_json(run.folder.measured))
    assert measured.base
    judging = {score.origin for score in measured.base.held_out}
    choosing = {score.origin for score in _frontier(run).measured[0].choosing}
    assert choosing
    assert not choosing & judging


def test_the_choice_is_told(asked: tuple[Run, Recorder]) -> None:
    run, watcher = asked
    summary = run.verdict["kept"]["detail"]["frontier"]["summary"]
    assert f"{summary[0].upper()}{summary[1:]}." in watcher.notes


def test_a_run_killed_before_its_verdict_chooses_the_same_on_the_same_samples(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / "verdict.json").unlink()
    shutil.rmtree(tmp_path / "run" / "adapter")
    monkeypatch.setattr("tunesmith.runs.samples.draw", None)  # nothing is drawn again
    again = train(None, tmp_path / "run", resume=True)
    ours, theirs = saved_weights(again.path), saved_weights(run.path)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert again.folder.samples.read_bytes() == run.folder.samples.read_bytes()
    assert again.verdict == run.verdict


def test_strengths_are_compared_only_where_there_is_a_base_and_time(
    tiny_base: Path, tmp_path: Path
) -> None:
    def found(**fields: Any) -> Compared | None:
        return compared_on(set_up(recipe(tiny_base, _rows(tmp_path), **HARD, **fields)))

    assert found(evaluate__level="quick") is None
    whole = {"model__method": "full", "model__from_scratch": True}
    assert found(evaluate__level="standard", **whole) is None
    glance = found(evaluate__level="standard")
    asked = found(evaluate__level="quick", evaluate__most_forgetting=0.1)
    assert glance
    assert asked
    assert len(glance.probes) < len(asked.probes)
    assert (glance.strengths, asked.strengths) == (len(STRENGTHS), len(STRENGTHS) + HALVINGS)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"model__method": "full", "model__from_scratch": True},
            "evaluate.most_forgetting keeps what the base knew, and model.from_scratch",
        ),
        ({"evaluate__level": "none"}, "evaluate.level=none measures nothing"),
    ],
)
def test_a_strength_that_cannot_be_chosen_is_refused(
    tiny_base: Path, tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe(tiny_base, _rows(tmp_path), evaluate__most_forgetting=0.05, **fields)
