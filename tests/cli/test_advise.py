"""`tunesmith advise`: what it hands on, and what stands on the screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.cli.app import run

Capture = pytest.CaptureFixture[str]


def _option(name: str, loss: float, exact: float | None, pays: int | None) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"with {name}",
        "loss": loss,
        "right": exact,
        "answers": 32,
        "cost": {"tokens": 1200.0, "seconds": 0.25},
        "requests_until_training_pays": pays,
    }


FOUND: dict[str, Any] = {
    "recommend": "few_shot",
    "sentence": "Show the base examples in its prompt: it answers all.",
    "reasons": ["Training pays after 618 requests."],
    "unit": "bits per byte",
    "judged_rows": 40,
    "rows": 1000,
    "training_seconds": 100.0,
    "seconds": 61.0,
    "options": [_option("base", 2.0, None, 500), _option("probe", 0.1, 0.5, None)],
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What reached the act, which finds FOUND."""
    seen: dict[str, Any] = {}

    def act(recipe: Any, minutes: float, out: Path | None, watcher: Any) -> dict[str, Any]:
        seen.update(recipe=recipe, minutes=minutes, out=out)
        return FOUND

    monkeypatch.setattr("tunesmith.runs.advise.advise", act)
    return seen


def test_what_was_asked_and_what_came_of_it(
    asked: dict[str, Any], rows: Path, tmp_path: Path, capsys: Capture
) -> None:
    words = ["--data", str(rows), "--prompt", str(rows), "--minutes", "2", "--base", "x/y"]
    assert run(["advise", *words, "--out", str(tmp_path / "advice")]) == 0
    assert asked["minutes"] == 2
    assert asked["out"] == tmp_path / "advice"
    assert asked["recipe"].evaluate.prompt == str(rows)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == FOUND["sentence"]
    assert lines[3] == "bits per byte right tokens seconds pays after with"
    assert lines[4] == "2.000 1,200 0.25 500 with base"
    assert lines[5] == "0.100 50% of 32 1,200 0.25 with probe"
    assert "Training pays after 618 requests." in lines
    measured = "Measured on 40 held-out rows in 1:01 min. A whole run on 1,000 rows would train"
    assert f"{measured} for about 1:40 min." in lines
    assert lines[-1].endswith("advice.json")


def test_json_is_alone_on_stdout(asked: dict[str, Any], rows: Path, capsys: Capture) -> None:
    assert run(["advise", "--data", str(rows), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == FOUND
    assert asked["out"] is None
