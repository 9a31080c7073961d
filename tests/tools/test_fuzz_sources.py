"""The long fuzz of data files, at a small size."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tools.fuzz_sources import DOCUMENTS, FORMS, make, read_all, run
from tunesmith.data.sources import reading


def test_mutated_inputs_end_in_rows_or_in_a_sentence() -> None:
    ended, failed = run(0, 600)
    assert failed == []
    assert ended["rows"] > 100
    assert ended["sentence"] > 100


def test_mutated_documents_do_too() -> None:
    ended, failed = run(0, 150, DOCUMENTS)
    assert failed == []
    assert ended["rows"] > 25
    assert ended["sentence"] > 25


def test_a_case_is_made_from_its_number_alone(tmp_path: Path) -> None:
    made = []
    for copy in ("a", "b"):
        (tmp_path / copy).mkdir()
        path = Path(make(Random(4), tmp_path / copy, FORMS))
        made.append((path.name, path.read_bytes()))
    assert made[0] == made[1]


def test_what_ends_otherwise_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n')
    assert read_all(str(path), Random(0)) == "rows"
    for refusal in (ValueError("a slip"), RecursionError()):

        def slip(path: str, refusal: Exception = refusal) -> None:
            raise refusal

        monkeypatch.setattr(reading, "described", slip)
        with pytest.raises(type(refusal)):
            read_all(str(path), Random(0))
