"""`tunesmith improve`: what it hands on, and what stands on the screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.cli.app import run
from tunesmith.core.errors import Interrupted
from tunesmith.runs.improve.wanted import Wanted

Capture = pytest.CaptureFixture[str]


def _line(number: int, value: float, change: dict[str, float] | None) -> dict[str, Any]:
    return {
        "round": number,
        "success": {"value": value, "low": value - 0.1, "high": value + 0.1},
        "change": change,
        "samples": {"tokens": 5920, "kept": 48, "prompts_without": 3} if number else None,
        "seconds": {"sampling": 3.0, "training": 5.0 * number, "held_out": 1.0},
    }


FOUND = {
    "sentence": "Held-out success went from 20 % to 60 %.",
    "why": "all rounds were made",
    "measure": "success",
    "cautions": ["Few prompts say little."],
    "rounds": [_line(0, 0.2, None), _line(1, 0.6, {"value": 0.4, "low": 0.3, "high": 0.5})],
    "best": 1,
    "model": "runs/tickets-improve/round-1/run/adapter",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the act was asked; nothing is drawn."""
    seen: dict[str, Any] = {}

    def improve(recipe: Any, wanted: Wanted, out: Path, watcher: Any) -> dict[str, Any]:
        seen.update(recipe=recipe, wanted=wanted, out=out)
        if "error" in seen:
            raise seen["error"]
        return FOUND

    monkeypatch.setattr("tunesmith.runs.improve.act.improve", improve)
    monkeypatch.chdir(tmp_path)
    return seen


def test_what_was_asked_and_what_came_of_it(
    asked: dict[str, Any], rows: Path, capsys: Capture
) -> None:
    words = ["--answers", "16", "--keep", "1", "--at-least", "0.5", "--rounds", "4"]
    assert run(["improve", "--data", str(rows), "--base", "x/y", *words]) == 0
    assert asked["wanted"] == Wanted(16, 1, 4, 0.5)
    assert asked["out"] == Path("runs/tickets-improve")
    assert asked["recipe"].model.base == "x/y"
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1:3] == [FOUND["sentence"], "It ended because all rounds were made."]
    assert lines[4] == "round tokens kept without held-out success (95 %) change (95 %) time"
    assert lines[5] == "0 20.0 % (10.0 % to 30.0 %) 4.0 s"
    measured = "60.0 % (50.0 % to 70.0 %) 40.0 % (30.0 % to 50.0 %)"
    assert lines[6] == f"*1 5,920 48 3 {measured} 9.0 s"
    assert "model runs/tickets-improve/round-1/run/adapter" in lines


def test_any_reward_may_be_accepted(asked: dict[str, Any], rows: Path, capsys: Capture) -> None:
    assert run(["improve", "--data", str(rows), "--at-least", "any", "--json"]) == 0
    assert asked["wanted"].at_least is None
    assert json.loads(capsys.readouterr().out) == FOUND
    assert run(["improve", "--data", str(rows), "--at-least", "good"]) == 2
    assert "'good' is neither a number, as in 0.5, nor any" in capsys.readouterr().err


def test_interrupted_it_says_how_to_go_on(
    asked: dict[str, Any], rows: Path, capsys: Capture
) -> None:
    asked["error"] = Interrupted("Stopped, with all work saved.")
    assert run(["improve", "--data", str(rows)]) == 130
    assert "go on     the same command again" in capsys.readouterr().err
