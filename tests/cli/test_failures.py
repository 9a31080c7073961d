"""Each way to fail is one finished sentence on stderr and the exit code of its kind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tunesmith.cli.app import run
from tunesmith.core.errors import CheckpointError, Interrupted, NonFiniteLoss

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--from-step", "3"], "--from-step names a checkpoint of a run to go on with"),
        (["--resume"], "--resume needs the folder of a run: tunesmith train --out DIR --resume."),
        (["--resume", "--out", "x", "--base", "b"], "so --base cannot be given with it"),
        (["r.yaml", "--resume", "--set", "a.b=1"], "so a recipe and --set cannot be given with it"),
        ([], "No training data is named. Give a file with --data FILE"),
        (["none.yaml"], "There is no recipe file none.yaml."),
        (["--set", "engin.epochs=2"], "unknown key engin.epochs. Did you mean engine.epochs?"),
    ],
)
def test_what_train_cannot_be_asked(
    words: list[str], sentence: str, training: Any, capsys: Capture
) -> None:
    assert run(["train", *words]) == 2
    streams = capsys.readouterr()
    assert sentence in streams.err
    assert streams.err.startswith("error: ")
    assert streams.out == ""
    assert training.recipe is None


@pytest.mark.parametrize(
    "words",
    [["train", "--bsae", "x"], ["nonsense"], ["chat"], ["data", "show", "f", "--rows", "0"]],
)
def test_wrong_usage(words: list[str], capsys: Capture) -> None:
    assert run(words) == 2
    assert "Usage: tunesmith" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "There is no file"),
        ("", "empty"),
        (
            '{"prompt": "a", "completion": "b"}\n' * 2 + "{nope\n",
            "tickets.jsonl:3: this is not JSON",
        ),
        ('{"question": "a"}\n', "tickets.jsonl:1"),
        ('{"prompt": "a", "completion": ""}\n', "tickets.jsonl:1"),
    ],
)
def test_bad_data_is_named_and_nothing_is_written(
    content: str | None, sentence: str, tiny_base: Path, rows: Path, capsys: Capture
) -> None:
    rows.unlink()
    if content is not None:
        rows.write_text(content, encoding="utf-8")
    out = rows.parent / "out"
    words = ["train", "--base", str(tiny_base), "--data", str(rows), "--out", str(out)]
    assert run(words) == 2
    assert sentence in capsys.readouterr().err
    assert sorted(path.name for path in rows.parent.iterdir()) == [rows.name] * rows.exists()


def test_a_base_that_is_no_model(rows: Path, capsys: Capture) -> None:
    out = rows.parent / "out"
    words = ["train", "--base", str(rows.parent), "--data", str(rows), "--out", str(out)]
    assert run(words) == 2
    assert "is not a model folder: it has no config.json" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [(NonFiniteLoss("The loss became nan."), 1), (CheckpointError("It is damaged."), 2)],
)
def test_each_error_has_its_code(
    error: Exception, code: int, training: Any, rows: Path, capsys: Capture
) -> None:
    training.error = error
    assert run(["train", "--data", str(rows)]) == code
    assert capsys.readouterr().err.endswith(f"error: {error}\n")


def test_an_interrupted_run_says_how_to_go_on(training: Any, rows: Path, capsys: Capture) -> None:
    folder = Path("my run")
    folder.mkdir()
    (folder / "recipe.yaml").touch()
    training.error = Interrupted("Stopped by SIGINT after step 3 of 9.")
    assert run(["train", "--data", str(rows), "--out", str(folder)]) == 130
    assert capsys.readouterr().err.endswith(
        "Stopped by SIGINT after step 3 of 9.\ngo on     tunesmith train --out 'my run' --resume\n"
    )


def test_ctrl_c_before_the_run_begins(training: Any, rows: Path) -> None:
    training.error = KeyboardInterrupt()  # type: ignore[assignment]
    assert run(["train", "--data", str(rows)]) == 130


def test_an_unexpected_error_leaves_its_traceback(
    training: Any, rows: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(rows.parent))
    training.error = RuntimeError("the sky fell\nand more")
    assert run(["train", "--data", str(rows)]) == 1
    said = capsys.readouterr().err
    (kept,) = rows.parent.glob("tunesmith-traceback-*.txt")
    assert "(RuntimeError: the sky fell)" in said
    assert str(kept) in said
    assert "Traceback" not in said
    assert "and more" in kept.read_text(encoding="utf-8")


def test_debug_shows_the_traceback(training: Any, rows: Path, capsys: Capture) -> None:
    training.error = RuntimeError("the sky fell")
    assert run(["--debug", "train", "--data", str(rows)]) == 1
    assert capsys.readouterr().err.rstrip().endswith("RuntimeError: the sky fell")


def test_a_closed_pipe_is_quiet() -> None:
    shell = f'"{sys.executable}" -m tunesmith recipe | head -n 1'
    answer = subprocess.run(shell, shell=True, capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("# Every key")
    assert answer.stderr == ""
