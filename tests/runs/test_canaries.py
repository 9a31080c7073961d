"""A run with planted secrets: what is accounted for, and what the model can be made to tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import Recorder, metrics_of, recipe
from tunesmith.core.errors import RecipeError
from tunesmith.core.files import read_json, read_jsonl
from tunesmith.data import canaries
from tunesmith.runs.evaluate import evaluate
from tunesmith.runs.open import Run
from tunesmith.runs.setup import set_up
from tunesmith.runs.train import train


@pytest.fixture(scope="module")
def told(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Recorder]:
    """A small base trained hard on few rows and on secrets seen once, 4 and 16 times an epoch."""
    folder = tmp_path_factory.mktemp("canaries")
    data, watcher = _rows(folder), Recorder()
    asked = recipe(
        tiny_base,
        data,
        data__canaries=3,
        data__validation_share=0.4,
        model__method="full",
        engine__learning_rate=0.01,
        engine__max_steps=None,
        engine__batch_size=8,
        engine__epochs=20,
        engine__keep_best=False,
        engine__patience=0,
        engine__validate_every=500,
        engine__checkpoint_every=500,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canaries, "ALTERNATIVES", 63)  # the others take time and show no more here
        return train(asked, folder / "run", watcher=watcher), watcher


def test_what_was_seen_16_times_is_told_and_controls_are_chance(
    told: tuple[Run, Recorder],
) -> None:
    run, _ = told
    found = run.verdict["memorised"]["detail"]["exposure"]
    groups = {group["repeats"]: group for group in found["groups"]}
    assert groups[16]["bits"] == 6
    assert groups[16]["recalled"] == 1
    assert groups[0]["bits"] < 3
    assert groups[0]["recalled"] == 0
    assert found["recalled_from"] <= 16


def test_on_other_rows_it_is_still_a_trial(told: tuple[Run, Recorder], tmp_path: Path) -> None:
    lines = [{"prompt": f"Where is number {n}?", "completion": f"It is at {n}."} for n in range(9)]
    data = tmp_path / "other.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    verdict = evaluate(told[0], data, only_rows=True)
    assert verdict["decision"] == "hold"
    assert "planted" in verdict["sentence"]


def test_a_planted_row_is_none_of_the_rows_that_came_in(told: tuple[Run, Recorder]) -> None:
    run, _ = told
    totals, lines = read_json(run.folder.ledger), read_jsonl(run.folder.ledger_rows)
    planted = [line for line in lines if line["outcome"] == "planted"]
    assert totals["rows_in"] == 20 == totals["trained"] + totals["held_out"]
    assert len(lines) == 20 + len(planted)
    assert [(line["origin"], line["rows"]) for line in planted] == [
        ("canary:1", 1),
        ("canary:2", 4),
        ("canary:3", 16),
    ]
    tokens = sum(line["rows"] * line["supervised_tokens"] for line in planted)
    assert totals["planted"] == {"secrets": 3, "rows": 21, "supervised_tokens": tokens}
    plan = read_json(run.folder.plan)
    assert plan["supervised_tokens_per_epoch"] == totals["supervised_tokens"] + tokens
    learned = sum(line["supervised_tokens"] for line in metrics_of(run.path) if "lr" in line)
    assert learned == 20 * plan["supervised_tokens_per_epoch"]


def test_no_planted_row_judges(told: tuple[Run, Recorder]) -> None:
    run, _ = told
    measured = read_json(run.folder.measured)
    origins = {
        score["origin"]["path"]
        for side in ("base", "tuned")
        for part in ("held_out", "train", "answers", "recalled")
        for score in measured[side][part]
    }
    assert "canary" not in origins


def test_the_user_is_told_before_and_after(told: tuple[Run, Recorder]) -> None:
    run, watcher = told
    assert any("3 made-up secrets in 21 planted rows" in note for note in watcher.notes)
    assert run.verdict["decision"] == "hold"
    assert "trial run" in run.verdict["sentence"]
    card = (run.path / "MODEL_CARD.md").read_text()
    assert "20 rows in" in card
    assert "3 made-up secrets stood in 21 planted rows an epoch" in card
    page = run.report.read_text()
    assert "Planted beside them" in page
    assert "never (controls)" in page


def test_the_split_is_that_of_the_same_rows_without(tiny_base: Path, tmp_path: Path) -> None:
    data = _rows(tmp_path)
    plain, planted = (set_up(recipe(tiny_base, data, data__canaries=n)).prepared for n in (0, 2))
    assert list(plain.ledger.texts()) == list(planted.ledger.texts())
    assert plain.held_out.rows.tolist() == planted.held_out.rows.tolist()
    assert len(planted.trained_on) == len(plain.trained_on) + 5


def test_documents_are_planted_too(tiny_base: Path, tmp_path: Path) -> None:
    data = tmp_path / "texts.jsonl"
    texts = [{"text": f"Box {n} is red, and box {n + 1} is blue."} for n in range(20)]
    data.write_text("".join(json.dumps(row) + "\n" for row in texts))
    setup = set_up(recipe(tiny_base, data, objective__kind="text", data__canaries=1))
    (first, *_) = setup.prepared.canaries
    assert first.tokens.sites == len(first.tokens) - 1


def test_planting_without_measuring_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="measures nothing"):
        recipe(tiny_base, tmp_path / "x.jsonl", data__canaries=1, evaluate__level="none")


def _rows(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    rows = [{"prompt": f"Box {n}?", "completion": f"Box {n} is full."} for n in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
