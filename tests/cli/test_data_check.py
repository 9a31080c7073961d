"""`tunesmith data check`: what stands on the screen, in JSON, and in a cleaned copy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.data.quality.planted import CARD, KEY
from tunesmith.cli.app import run

Capture = pytest.CaptureFixture[str]

SOUND = [
    {"prompt": "Where is parcel seven?", "completion": "It waits at the depot in Leeds."},
    {"prompt": "May I pay by invoice?", "completion": "Yes, if your firm is known to us."},
    {"prompt": "Is the shop open on Sunday?", "completion": "No, from Monday to Friday only."},
]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows as JSON lines."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """Sound rows, and five that are not: a key, a card, a copy, a blank answer, a control sign."""
    rows = [
        *SOUND,
        {"prompt": "What is the token?", "completion": f"It is {KEY}."},
        SOUND[0],
        {"prompt": "How did I pay?", "completion": f"With the card {CARD}."},
        {"prompt": "And then?", "completion": "…"},
        {"prompt": "Did it ring?", "completion": "It did\x1b[31m ring."},
    ]
    return written(tmp_path / "faulty.jsonl", rows)


def test_sound_rows_pass(tmp_path: Path, capsys: Capture) -> None:
    assert run(["data", "check", str(written(tmp_path / "a.jsonl", SOUND))]) == 0
    assert capsys.readouterr().out.strip() == "3 rows to train on: nothing was found."


def test_findings_are_shown_by_grade_with_their_places(faulty: Path, capsys: Capture) -> None:
    assert run(["data", "check", str(faulty)]) == 2
    shown = capsys.readouterr().out
    order = ("not ready for a run", "Stop:", "[secret_key]", "Warnings:", "[duplicate]")
    assert [shown.index(each) for each in order] == sorted(shown.index(each) for each in order)
    assert f"{faulty}:4  It holds one." in shown
    assert f"{faulty}:5  The same row stands at {faulty}:1." in shown
    assert KEY not in shown
    assert "Add --fix OUT.jsonl" in shown


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path, capsys: Capture) -> None:
    answer = "As an AI language model\x1b[31m I cannot know."
    path = written(tmp_path / "a.jsonl", [{"prompt": "Why?", "completion": answer}])
    assert run(["data", "check", str(path)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_only_the_first_places_are_shown(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path / "a.jsonl", [SOUND[0]] * 9)
    assert run(["data", "check", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "8 rows equal to an earlier one" in shown
    assert f"{path}:4  " in shown
    assert f"{path}:5  " not in shown
    assert "and 5 more" in shown


def test_json_is_alone_on_stdout(faulty: Path, capsys: Capture) -> None:
    assert run(["data", "check", str(faulty), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["stop"] is True
    assert told["rows"] == {"train": 8, "validation": 0, "benchmark": 0}
    found = {each["reason"]: each for each in told["findings"]}
    assert set(found) == {
        "secret_key",
        "card_number",
        "duplicate",
        "empty_answer",
        "control_characters",
    }
    assert found["duplicate"]["grade"] == "warn"
    assert found["duplicate"]["places"][0]["row"] == f"{faulty}:5"


def test_a_validation_row_among_the_training_rows_stops(tmp_path: Path, capsys: Capture) -> None:
    training = written(tmp_path / "train.jsonl", SOUND)
    edited = {**SOUND[1], "prompt": "Hello! may I pay by INVOICE"}
    held = written(tmp_path / "held.jsonl", [SOUND[0], edited])
    words = ["data", "check", str(training), "--validation", str(held)]
    assert run(words) == 2
    shown = capsys.readouterr().out
    assert f"{training}:1  The same row stands at {held}:1." in shown
    assert f"{training}:2  {held}:2 says nearly the same." in shown
    assert run([*words, "--fix", str(tmp_path / "out.jsonl")]) == 2
    assert _rows(tmp_path / "out.jsonl") == SOUND[2:]


def test_a_benchmark_of_any_form_is_compared(tmp_path: Path, capsys: Capture) -> None:
    question = "A farmer has nine brown hens and sells four of them on market day: how many stay?"
    rows = [*SOUND, {"prompt": f"Riddle. {question}", "completion": "Five of them stay."}]
    item = {"id": 7, "stem": question, "choices": {"text": ["3", "5"]}}
    training = written(tmp_path / "train.jsonl", rows)
    benchmark = written(tmp_path / "bench.jsonl", [item])
    assert run(["data", "check", str(training), "--benchmark", str(benchmark)]) == 2
    shown = capsys.readouterr().out
    assert "3 rows" not in shown
    assert f"{training}:4  It holds what {benchmark}:1 asks." in shown


def test_rows_that_cannot_be_used_stop_beyond_one_in_a_hundred(
    tmp_path: Path, capsys: Capture
) -> None:
    path = written(tmp_path / "a.jsonl", [*SOUND, {"promt": "?", "completion": "!"}])
    assert run(["data", "check", str(path)]) == 2
    assert "1 row that cannot be used  [wrong_keys]" in capsys.readouterr().out


def test_fix_writes_a_clean_copy_and_every_change(faulty: Path, capsys: Capture) -> None:
    before = faulty.read_bytes()
    out = faulty.parent / "clean.jsonl"
    assert run(["data", "check", str(faulty), "--fix", str(out)]) == 2
    assert faulty.read_bytes() == before
    assert _rows(out) == [
        *SOUND,
        {"prompt": "What is the token?", "completion": "It is [KEY]."},
        {"prompt": "How did I pay?", "completion": "With the card [CARD]."},
        {"prompt": "Did it ring?", "completion": "It did[31m ring."},
    ]
    assert _rows(faulty.parent / "clean.jsonl.changes.jsonl") == [
        {"row": f"{faulty}:4", "line": 4, "rewritten": {"secret_key": 1}},
        {"row": f"{faulty}:5", "dropped": "duplicate"},
        {"row": f"{faulty}:6", "line": 5, "rewritten": {"card_number": 1}},
        {"row": f"{faulty}:7", "dropped": "empty_answer"},
        {"row": f"{faulty}:8", "line": 6, "rewritten": {"control_characters": 1}},
    ]
    shown = capsys.readouterr().out
    assert f"cleaned   {out}  (6 rows)" in shown
    assert "left out  duplicate 1, empty_answer 1" in shown
    assert run(["data", "check", str(out)]) == 0


def test_what_a_copy_would_overwrite_is_kept(faulty: Path, capsys: Capture) -> None:
    assert run(["data", "check", str(faulty), "--fix", str(faulty)]) == 2
    assert "exists already" in capsys.readouterr().err
    missing = faulty.parent / "none" / "out.jsonl"
    assert run(["data", "check", str(faulty), "--fix", str(missing)]) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_the_check_brings_no_torch(faulty: Path) -> None:
    script = f"""
import sys
from tunesmith.cli.app import run
run(["data", "check", {str(faulty)!r}])
print([name for name in ("torch", "transformers", "peft") if name in sys.modules])
"""
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines()[-1] == "[]"


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_files_that_are_not_read_are_named(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "notes.txt").write_text("A day by the river.")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    assert run(["data", "check", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "1 file not read: 1 of pictures beside documents (" in said
    assert "photo.jpg)" in said
