"""`tunesmith search`: what it hands on, and what stands on the screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.cli.app import run
from tunesmith.core.errors import Interrupted

Capture = pytest.CaptureFixture[str]


def _trial(number: int, share: float, loss: float | None, kept: bool | None) -> dict[str, Any]:
    return {
        "number": number,
        "learning_rate": 2e-3,
        "rank": 16,
        "epochs": 4,
        "share": share,
        "steps": round(1200 * share),
        "loss": loss,
        "kept": kept,
        "drift": None if loss is None else 0.25,
        "seconds": 65.0,
    }


FOUND: dict[str, Any] = {
    "sentence": "Of 3 recipes the best has learning rate 0.002.",
    "cautions": ["The winner's own loss is a little too good."],
    "winner": {"number": 1},
    "recipe": "runs/tickets-search/recipe.yaml",
    "trials": [
        _trial(1, 1 / 3, 1.5, False),
        _trial(2, 1 / 3, None, None),
        _trial(1, 1.0, 1.2, True),
    ],
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What reached the act, which finds FOUND or raises what stands under `error`."""
    seen: dict[str, Any] = {}

    def act(recipe: Any, minutes: float, out: Path, watcher: Any) -> dict[str, Any]:
        seen.update(recipe=recipe, minutes=minutes, out=out)
        if "error" in seen:
            raise seen["error"]
        return FOUND

    monkeypatch.setattr("tunesmith.runs.search.search", act)
    monkeypatch.chdir(tmp_path)
    return seen


def test_what_was_asked_and_what_came_of_it(
    asked: dict[str, Any], rows: Path, capsys: Capture
) -> None:
    assert run(["search", "--data", str(rows), "--minutes", "12.5", "--base", "x/y"]) == 0
    assert asked["minutes"] == 12.5
    assert asked["out"] == Path("runs/tickets-search")
    assert asked["recipe"].model.base == "x/y"
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == FOUND["sentence"]
    assert lines[3] == "recipe rate rank epochs steps held-out loss general text time"
    assert lines[4] == "1 0.002 16 4 1,200 1.200 +0.250 1:05 min", "the longest stand first"
    assert lines[5] == "1 0.002 16 4 400 1.500 +0.250 1:05 min forgets too much"
    assert lines[6] == "2 0.002 16 4 400 no number 1:05 min"
    assert FOUND["cautions"][0] in lines
    assert lines[-1] == "train it tunesmith train runs/tickets-search/recipe.yaml"


def test_json_is_alone_on_stdout(asked: dict[str, Any], rows: Path, capsys: Capture) -> None:
    assert run(["search", "--data", str(rows), "--out", "here", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == FOUND
    assert asked["out"] == Path("here")


def test_interrupted_it_says_how_to_go_on(
    asked: dict[str, Any], rows: Path, capsys: Capture
) -> None:
    asked["error"] = Interrupted("Stopped between two trials, with all work saved.")
    assert run(["search", "--data", str(rows)]) == 130
    assert "go on     the same command again" in capsys.readouterr().err
