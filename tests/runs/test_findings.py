"""The checks of whole data sets run at the start of every training, and say what they find."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import Recorder, recipe
from tunesmith.core.errors import DataError
from tunesmith.data import tokenised
from tunesmith.data.portions import Tokenise
from tunesmith.runs.assembly import tell_data
from tunesmith.runs.setup import set_up
from tunesmith.runs.train import train

# Put together here, so that no tool that looks for secrets finds one in this file.
KEY = "ghp_" + "a1B2" * 9


def _rows(path: Path, *answers: str) -> Path:
    with path.open("a", encoding="utf-8") as file:
        for number, answer in enumerate(answers):
            row = {"prompt": f"What stands on page {number}?", "completion": answer}
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Rows of which there is nothing to say."""
    words = ("ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine")
    return _rows(tmp_path / "clean.jsonl", *(f"A {word} by the river." for word in words))


@pytest.fixture
def secret(tmp_path: Path, clean: Path) -> Path:
    """The same, with a key on line 11 and an address on line 12."""
    path = tmp_path / "secret.jsonl"
    path.write_bytes(clean.read_bytes())
    return _rows(path, f"Use {KEY}.", "Write to ana.lind@postfach.net.")


def test_a_key_stops_a_run_before_it_begins(tiny_base: Path, secret: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        train(recipe(tiny_base, secret), tmp_path / "run")
    said = str(refused.value)
    assert "secret.jsonl:11: " in said
    assert "1 row with a key or a token" in said
    assert "data.checks=warn" in said
    assert KEY not in said
    assert not (tmp_path / "run").exists()


def test_where_asked_to_a_run_says_what_was_found_and_goes_on(
    tiny_base: Path, secret: Path
) -> None:
    setup, told = set_up(recipe(tiny_base, secret, data__checks="warn")), Recorder()
    tell_data(setup, told)
    said = "\n".join(told.notes)
    assert f"1 row with a key or a token, first {secret}:11." in said
    assert f"1 row with an e-mail address, first {secret}:12." in said
    assert "`tunesmith data check`" in said


@pytest.mark.parametrize("checks", ["refuse", "off"])
def test_of_clean_or_unchecked_data_nothing_is_said(
    checks: str, tiny_base: Path, clean: Path, secret: Path
) -> None:
    data = clean if checks == "refuse" else secret
    assert set_up(recipe(tiny_base, data, data__checks=checks)).warnings == ()


def test_large_data_is_looked_at_once_and_names_its_files_as_they_are(
    tiny_base: Path, secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tokenised, "LARGE", 10)
    with pytest.raises(DataError) as fresh:
        set_up(recipe(tiny_base, secret))
    renamed = secret.rename(tmp_path / "renamed.jsonl")
    monkeypatch.setattr(Tokenise, "__call__", None)
    with pytest.raises(DataError) as cached:
        set_up(recipe(tiny_base, renamed))
    assert f"{secret}:11: " in str(fresh.value)
    assert str(cached.value) == str(fresh.value).replace(str(secret), str(renamed))
