"""`tunesmith plan` over a real base, and how it ends where there is no room."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.cli.app import run
from tunesmith.runs import plan as planning
from tunesmith.runs.memory import Room

Capture = pytest.CaptureFixture[str]


def _asked(tiny_base: Path, rows: Path) -> list[str]:
    settings = ["--set", "engine.max_steps=3", "--set", "evaluate.level=none"]
    return ["plan", "--base", str(tiny_base), "--data", str(rows), *settings]


def test_plan_says_time_memory_and_tokens_and_writes_nothing(
    tiny_base: Path, rows: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rows.parent)
    assert run(_asked(tiny_base, rows)) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].startswith("About ")
    names = [line.split("  ")[0].strip() for line in shown.splitlines()[3:]]
    assert {"tokens", "training", "peak memory", "forward"} <= set(names)
    assert list(rows.parent.iterdir()) == [rows]


def test_plan_as_json_is_plan_json(tiny_base: Path, rows: Path, capsys: Capture) -> None:
    assert run([*_asked(tiny_base, rows), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["steps"] == 3
    assert plan["changes"] == []
    assert {"training_seconds", "tokens_per_second", "peak_memory_bytes"} <= set(plan["predicted"])


def test_a_run_without_room_exits_with_2(
    tiny_base: Path, rows: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "room", lambda device: Room(1_000_000, "a test"))
    assert run(_asked(tiny_base, rows)) == 2
    assert "What would fit" in (said := capsys.readouterr().err) or "Nothing would fit" in said


def test_plan_needs_data(capsys: Capture) -> None:
    assert run(["plan"]) == 2
    assert "--data FILE" in capsys.readouterr().err
