"""`tunesmith curve`: what it hands on, and what stands on the screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.cli.app import run
from tunesmith.core.errors import Interrupted

Capture = pytest.CaptureFixture[str]

FOUND = {
    "sentence": "Twice as many rows would help.",
    "outlook": "helps",
    "cautions": ["Three sizes say little."],
    "points": [
        {
            "share": share,
            "rows": 10 * share,
            "value": value,
            "low": value - 0.1,
            "high": value + 0.1,
            "fell_by": fell,
            "kept_step": 8,
            "last_step": 12,
        }
        for share, value, fell in (
            (10, 1.8, None),
            (30, 1.5, {"value": 0.3, "low": 0.2, "high": 0.4}),
            (100, 1.3, {"value": 0.2, "low": 0.1, "high": 0.3}),
        )
    ],
    "forecast": [{"times": 2, "rows": 2000, "gain": {"value": 0.1, "low": 0.05, "high": 0.2}}],
    "picture": "runs/tickets-curve/curve.svg",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the act was asked; nothing is trained."""
    seen: dict[str, Any] = {}

    def act(recipe: Any, shares: Any, out: Path, watcher: Any, repeats: Any) -> dict[str, Any]:
        seen.update(recipe=recipe, shares=shares, out=out, repeats=repeats)
        if "error" in seen:
            raise seen["error"]
        return FOUND

    monkeypatch.setattr("tunesmith.runs.curve.learning_curve", act)
    monkeypatch.chdir(tmp_path)
    return seen


def test_what_was_asked_and_what_came_of_it(
    asked: dict[str, Any], rows: Path, capsys: Capture
) -> None:
    words = ["--data", str(rows), "--weight", f"{rows}=2", "--shares", "5,20,100", "--base", "x/y"]
    assert run(["curve", *words]) == 0
    assert asked["shares"] == [5.0, 20.0, 100.0]
    assert asked["out"] == Path("runs/tickets-curve")
    assert asked["recipe"].data.train[0].weight == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "Twice as many rows would help."
    assert " ".join(lines[3].split()) == "rows share held-out loss (95 %) fell by step kept"
    assert "1.500 (1.400 to 1.600)" in lines[5]
    assert "0.300 (0.200 to 0.400)" in lines[5]
    ahead = "2,000 x 2 1.200 (1.100 to 1.250) 0.100 (0.050 to 0.200) foretold"
    assert " ".join(lines[7].split()) == ahead
    assert "picture   runs/tickets-curve/curve.svg" in lines


def test_json_is_alone_on_stdout(asked: dict[str, Any], rows: Path, capsys: Capture) -> None:
    assert run(["curve", "--data", str(rows), "--out", "here", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == FOUND
    assert asked["out"] == Path("here")


def test_interrupted_it_says_how_to_go_on(
    asked: dict[str, Any], rows: Path, capsys: Capture
) -> None:
    asked["error"] = Interrupted("Stopped by SIGINT after step 3 of 8.")
    assert run(["curve", "--data", str(rows)]) == 130
    assert "go on     the same command again" in capsys.readouterr().err


def test_shares_that_are_no_numbers_are_refused(rows: Path, capsys: Capture) -> None:
    assert run(["curve", "--data", str(rows), "--shares", "ten"]) == 2
    assert "is no list of percentages" in capsys.readouterr().err


def test_repeats_are_counted_from_one(asked: dict[str, Any], rows: Path, capsys: Capture) -> None:
    assert run(["curve", "--data", str(rows), "--repeats", "2"]) == 0
    assert asked["repeats"] == 2
    assert run(["curve", "--data", str(rows)]) == 0
    assert asked["repeats"] is None
    capsys.readouterr()
    assert run(["curve", "--data", str(rows), "--repeats", "0"]) == 2
    assert "--repeats" in capsys.readouterr().err
