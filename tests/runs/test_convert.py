"""Rows in another format, each of them written or counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.cli.app import run
from tunesmith.core.errors import DataError
from tunesmith.runs.convert import convert


def test_a_file_is_converted_and_each_row_counted(tmp_path: Path) -> None:
    source, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows = [
        {"instruction": "Add.", "input": "1 1", "output": "2"},
        {"messages": [{"role": "user", "content": "Where?"}]},
        {"text": "a"},
        {"ask": "a", "reply": "b"},
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    converted = convert([str(source)], out, "chat", {"ask": "prompt", "reply": "completion"})
    assert (converted.written, dict(converted.left_out)) == (
        2,
        {"nothing_to_learn": 1, "cannot_hold": 1},
    )
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["messages"][1]["content"] for line in lines] == ["2", "b"]
    assert converted.first[1] == (
        f"{source}:3: a row of the kind text has more than the format chat can hold."
    )
    assert converted.recognised[0].startswith(f"{source}: 1 rows as instruction")
    with pytest.raises(DataError, match="exists already"):
        convert([str(source)], out, "chat")
    new = tmp_path / "new.jsonl"
    with pytest.raises(DataError, match=r"No row .* as image \(.*cannot_hold.*rows\.jsonl:1: "):
        convert([str(source)], new, "image")
    assert not new.exists()
    with pytest.raises(DataError, match="no format chta; formats are chat, sharegpt"):
        convert([str(source)], new, "chta")


def test_the_command_says_what_was_written_and_what_was_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"ask": "a", "reply": "b"}\n{"text": "\\u001b[31m"}\n', encoding="utf-8")
    asked = ["data", "convert", str(source), str(out), "--to", "instruction"]
    assert run([*asked, "--map", "ask=prompt", "--map", "reply=completion"]) == 0
    told = capsys.readouterr().out
    assert f"{out}: 1 rows as instruction; left out: cannot_hold 1." in told
    assert f"{source}: 1 rows as completion (prompt, completion), 1 rows as text (text)." in told
    assert json.loads(out.read_text(encoding="utf-8"))["instruction"] == "a"
    assert run([*asked[:3], str(tmp_path / "new"), "--map", "ask"]) == 2
