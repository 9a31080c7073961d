"""`tunesmith feedback` as it is typed: what is asked, what is said, and what refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.cli.app import run
from tunesmith.core.files import read_jsonl
from tunesmith.data.feedback import FeedbackStore

PAIRS = [
    {
        "prompt": "Where is it?",
        "answers": ["At the door.", {"text": "No\x1b[31m idea.", "model": "anvil"}],
    },
    {
        "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}],
        "answers": ["Four.", "Well."],
    },
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with pairs.jsonl, and a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    return tmp_path / "home"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """`typed("1\\ntie\\n", "feedback", …)`: what a command says to this input, and its code."""

    def said(text: str, *words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))
        code = run(["feedback", *words])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return said


def test_from_a_pair_on_the_screen_to_rows(typed: Any, home: Path) -> None:
    collecting = ("collect", "--answers-file", "pairs.jsonl", "--person", "ann")
    code, said = typed("what\n1\nedit\n2\nIt is\nfour.\n.\nt\n", *collecting)
    assert code == 0
    assert "── 1 of 2 ──" in said
    assert "what is none of these: 1 or 2" in said
    assert "anvil" not in said  # blind
    assert "\x1b[31m" not in said
    assert "system: Be brief.\nuser: 2+2?" in said
    assert f"{home / 'feedback.sqlite'}: 3 judgements added (choice 1, edit 1, tie 1)." in said
    assert "2 pairs compared before by the same person" in typed("", *collecting)[1]
    kinds = [each.kind for each in FeedbackStore(home / "feedback.sqlite")]
    assert kinds == ["choice", "edit", "choice"]
    code, said = typed("", "export", "--as", "preference", "--out", "pairs-out.jsonl")
    assert code == 0
    assert "pairs-out.jsonl: 2 rows of 2 judgements." in said
    assert "3 judgements = 2 used + 1 left out." in said
    assert "1  tie: both answers were found equally good" in said
    assert read_jsonl(Path("pairs-out.jsonl"))[1]["chosen"][0]["content"] == "It is\nfour."


def test_the_end_of_input_leaves_and_the_same_command_goes_on(typed: Any, home: Path) -> None:
    code, said = typed("skip\n", "collect", "--answers-file", "pairs.jsonl")
    assert code == 0
    assert "0 judgements added." in said
    assert "2 pairs left (1 skipped): the same command goes on." in said


def test_an_editor_is_used_where_there_is_one(
    typed: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.cli import feedback_ask

    monkeypatch.setenv("EDITOR", "sed -i s/o/O/")
    assert feedback_ask._in_editor("sed -i s/o/O/", "door\n") == "dOor\n"
    assert feedback_ask._in_editor("sed -i s/o/O/", "door") == "dOor"
    assert feedback_ask._in_editor("false", "door") == "door"
    assert feedback_ask._editor() is None  # the input is no terminal


def test_what_was_judged_elsewhere_is_added_counted_and_shown(typed: Any, home: Path) -> None:
    line = {
        "prompt": "x",
        "answer": {"text": "a", "model": "anvil"},
        "liked": True,
        "time": "2026-05-01",
    }
    Path("rows.jsonl").write_text(json.dumps(line) + "\n")
    assert "1 of 1 judgement added; 0 known already." in typed("", "add", "rows.jsonl")[1]
    assert "0 of 1 judgement added; 1 known already." in typed("", "add", "rows.jsonl")[1]
    code, said = typed("", "list")
    assert code == 0
    assert "1 judgement (rating 1)." in said
    assert "anvil         0         0         1         1         0" in said
    assert "(no name)         0         1         0" in said
    assert json.loads(typed("", "list", "--json")[1])["persons"] == {
        "": {"choice": 0, "rating": 1, "edit": 0}
    }
    assert "liked     a" in typed("", "show")[1]
    shown = typed("", "show", "--json")[1]
    Path("shown.jsonl").write_text(shown)
    assert "0 of 1 judgement added" in typed("", "add", "shown.jsonl")[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["list"], "There is no feedback store"),
        (["collect"], "Nothing says which answers to compare"),
        (["collect", "--model", "x", "--answers-file", "pairs.jsonl"], "leave out --model"),
        (["collect", "--model", "x", "--prompts", "nix.jsonl"], "There is no file nix.jsonl"),
        (
            ["collect", "--model", "x", "--prompts", "p", "--temperature", "0"],
            "the same answer each",
        ),
        (["collect", "--model", "x", "--against", "x", "--prompts", "p"], "name the same model"),
        (["add", "pairs.jsonl"], "Nothing was added, for 2 rows are no judgement"),
        (["export", "--as", "sft", "--out", "o", "--since", "May"], "a time is written as 2026"),
        (["export", "--as", "sft", "--out", "o", "--store", "pairs.jsonl"], "it is not a database"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_made(
    words: list[str], says: str, typed: Any, home: Path
) -> None:
    code, said = typed("", *words)
    assert code == 2
    assert says in said
    assert "Traceback" not in said
    assert not home.exists()
