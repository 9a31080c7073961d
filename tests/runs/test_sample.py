"""Rows that the base itself writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from tunesmith.cli.app import run
from tunesmith.core.errors import DataError
from tunesmith.core.files import read_jsonl
from tunesmith.runs.sample import Wanted, sample
from tunesmith.runs.setup import read_examples


@pytest.fixture(scope="module")
def plain_base(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small base without its chat template."""
    folder = tmp_path_factory.mktemp("plain")
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    AutoModelForCausalLM.from_pretrained(tiny_base).save_pretrained(folder)
    return folder


def test_a_base_without_a_template_writes_texts_that_can_be_learned(
    plain_base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "replay.jsonl"
    drawn, form = sample(str(plain_base), Wanted(40, 24, seed=1, opening="Box 7 "), out)
    rows = read_jsonl(out)
    assert form == "text"
    assert drawn >= len(rows) == 40
    assert all(row["text"].startswith("Box 7 ") and len(row["text"]) > 6 for row in rows)
    assert len({row["text"] for row in rows}) == 40
    assert not [row for row in rows if "<|" in row["text"]]
    assert len(read_examples([str(out)])) == 40


def test_a_seed_gives_the_same_rows_and_another_one_others(
    plain_base: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        sample(str(plain_base), Wanted(20, 12, seed), tmp_path / name)
    a, b, c = ((tmp_path / name).read_text() for name in "abc")
    assert a == b != c


def test_a_base_with_a_template_writes_conversations(tmp_path: Path) -> None:
    out = tmp_path / "replay.jsonl"
    assert sample("anvil", Wanted(3, 80), out)[1] == "messages"
    rows = read_jsonl(out)
    assert len(rows) == 3
    for row in rows:
        assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
        assert all(turn["content"].strip() for turn in row["messages"])
    assert len(read_examples([str(out)])) == 3


def test_a_base_that_repeats_itself_is_told_of_and_nothing_is_left(
    plain_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.runs.sample._TRIES", 1)
    with pytest.raises(DataError, match=r"different rows in 208 tries\."):
        sample(str(plain_base), Wanted(200, 1), tmp_path / "replay.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_answered_in_sentences(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there.jsonl"
    there.write_text("{}\n")
    base = ["--base", str(tiny_base)]
    long = ["--opening", "Box 3 is red. " * 60]
    cases: list[tuple[list[str], str]] = [
        ([str(there), *base], "exists already"),
        ([str(tmp_path / "no" / "x.jsonl"), *base], "There is no folder"),
        ([str(tmp_path / "x.jsonl"), "--base", str(tmp_path / "none")], "There is no base model"),
        ([str(tmp_path / "x.jsonl"), *base, *long], "nothing could follow"),
    ]
    for words, said in cases:
        assert run(["sample", *words]) == 2
        error = capsys.readouterr().err
        assert said in " ".join(error.split())
        assert "Traceback" not in error
    assert json.loads(there.read_text()) == {}
