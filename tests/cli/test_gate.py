"""`promote`, `rollback`, `models`, and `chat` by name, as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tunesmith
from tunesmith.cli.app import run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two finished runs of a few bytes, `good` and `bad`, and a home of their own."""
    for name, decision in (("good", "ship"), ("bad", "hold")):
        folder = tmp_path / name
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "model.safetensors").write_bytes(name.encode())
        (folder / "recipe.yaml").write_text("model:\n  base: anvil\n")
        verdict = {"decision": decision, "sentence": f"{decision.capitalize()}: so it is."}
        (folder / "verdict.json").write_text(json.dumps(verdict))
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_gate_refuses_with_3_and_a_reason_opens_it(runs: Path, capsys: Capture) -> None:
    assert run(["promote", "good", "support"]) == 0
    assert f"support is version 1 now: {runs}/good (ship), promoted 20" in capsys.readouterr().out
    assert run(["promote", "bad", "support"]) == 3
    assert capsys.readouterr().err.startswith("bad was not promoted to support, because its")
    assert run(["promote", "bad", "support", "--because", "a demo"]) == 0
    assert "support is version 2 now" in capsys.readouterr().out
    assert run(["models"]) == 0
    assert f"support   {runs}/bad (hold, because: a demo)" in capsys.readouterr().out
    assert run(["rollback", "support", "--because", "over"]) == 0
    assert "support is version 1 now" in capsys.readouterr().out
    assert run(["rollback", "support"]) == 2
    assert "nothing was current before" in capsys.readouterr().err


def test_a_model_is_shown_with_its_history_and_its_damage(runs: Path, capsys: Capture) -> None:
    run(["promote", "good", "support"])
    run(["promote", "bad", "support", "--because", "a demo"])
    (runs / "good" / "model" / "model.safetensors").write_bytes(b"changed")
    capsys.readouterr()
    assert run(["models", "support"]) == 0
    shown = capsys.readouterr().out
    assert "* version 2" in shown
    assert "  version 1" in shown
    assert "has another model.safetensors than was judged." in shown
    assert "promote to version 2: a demo" in shown
    assert run(["models", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["name"], found["current"], len(found["versions"])) == ("support", 2, 2)


def test_no_names_yet(runs: Path, capsys: Capture) -> None:
    assert run(["models", "--home", str(runs / "other")]) == 0
    assert "No model has a name in" in capsys.readouterr().out
    assert run(["models", "support"]) == 2
    assert "No model is called support" in capsys.readouterr().err


def test_chat_opens_a_promoted_model_by_its_name(
    runs: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, fake_run: Any
) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(
        "tunesmith.runs.open.open_run", lambda path: opened.append(path) or fake_run
    )
    run(["promote", "good", "support"])
    assert run(["chat", "support", "--once", "Hello"]) == 0
    assert run(["chat", "bad", "--once", "Hello"]) == 0
    assert opened == [runs / "good", Path("bad")]
    (runs / "good" / "model" / "model.safetensors").unlink()
    assert run(["chat", "support", "--once", "Hello"]) == 2
    assert "Version 1 of support cannot be used" in capsys.readouterr().err


def test_the_gate_answers_without_torch(runs: Path) -> None:
    script = """
import sys
from tunesmith.cli.app import run
codes = [run(["promote", "good", "support"]), run(["models", "support"]), run(["compare", "good"])]
print(codes, "torch" in sys.modules)
"""
    package = str(Path(tunesmith.__file__).parents[1])
    answer = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": package},
    )
    assert answer.stdout.splitlines()[-1] == "[0, 0, 2] False"
