"""The cleaned copy of files whose values JSON does not know: written as they are, or refused."""

from __future__ import annotations

import datetime
import decimal
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.core.errors import DataError
from tunesmith.data.sources import rows_of
from tunesmith.runs.check import check_data, write_cleaned

ASKED = ["Where is parcel seven?", "Is the shop open on Sunday?"]
SAID = ["It waits at the depot in Leeds.", "No\x1b, from Monday to Friday only."]
MENDED = [SAID[0], SAID[1].replace("\x1b", "")]
MOMENT = datetime.datetime(2024, 1, 2, 3, 4, 5, 678900, tzinfo=datetime.UTC)


def _fixed(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of the cleaned copy, as JSON in its narrowest sense, and the listed changes."""
    out = path.with_name("out.jsonl")
    cleaned = write_cleaned([str(path)], check_data([str(path)]), out)

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    rows = [json.loads(line, parse_constant=refuse) for line in out.read_text().splitlines()]
    return rows, [json.loads(line) for line in cleaned.changes.read_text().splitlines()]


def _parquet(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table({"prompt": ASKED, "completion": SAID, **columns}), path)
    return path


def test_values_of_parquet_are_written_faithfully(tmp_path: Path) -> None:
    columns = {
        "when": pa.array([MOMENT] * 2),
        "day": pa.array([MOMENT.date()] * 2),
        "price": pa.array([decimal.Decimal("12.50"), None]),
        "raw": pa.array([b"abc", "ü".encode()]),
        "nested": pa.array([{"a": [1, 2], "day": MOMENT.date()}] * 2),
        "by_name": pa.array([[("k", 7)]] * 2, pa.map_(pa.string(), pa.int64())),
        "large": pa.array([2**63 - 1] * 2),
        "kind": pa.array(["x", "y"]).dictionary_encode(),
    }
    path = _parquet(tmp_path / "rows.parquet", **columns)
    packed = tmp_path / "packed" / "rows.parquet.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(path.read_bytes()))
    rows, changes = _fixed(path)
    assert [change["rewritten"] for change in changes] == [{"control_characters": 1}]
    for number, row in enumerate(rows):
        assert row == {
            "prompt": ASKED[number],
            "completion": MENDED[number],
            "when": "2024-01-02 03:04:05.678900+00:00",
            "day": "2024-01-02",
            "price": ("12.50", None)[number],
            "raw": ("abc", "ü")[number],
            "nested": {"a": [1, 2], "day": "2024-01-02"},
            "by_name": {"k": 7},
            "large": 2**63 - 1,
            "kind": "xy"[number],
        }
    assert _fixed(packed)[0] == rows


@pytest.mark.parametrize(
    "column",
    [
        pa.array([b"\xff\xfe"] * 2),
        pa.array([[(1, 2)]] * 2, pa.map_(pa.int64(), pa.int64())),
        pa.array([[b"\xff"]] * 2),
    ],
)
def test_what_no_json_holds_is_refused_by_its_column(tmp_path: Path, column: pa.Array) -> None:
    path = _parquet(tmp_path / "rows.parquet", odd=column)
    with pytest.raises(DataError, match=r'rows.parquet:1: the column "odd" \(.*Leave the column'):
        list(rows_of(str(path)))


def test_what_is_no_number_becomes_null_and_is_listed(tmp_path: Path) -> None:
    score = pa.array([float("nan"), 1.5])
    rows, changes = _fixed(_parquet(tmp_path / "rows.parquet", score=score))
    assert [row["score"] for row in rows] == [None, 1.5]
    assert changes[0] == {
        "row": f"{tmp_path / 'rows.parquet'}:1",
        "line": 1,
        "rewritten": {"not_a_number": 1},
    }


def test_json_lines_keep_what_nobody_reads(tmp_path: Path) -> None:
    """Infinities, half characters, numbers of any size, and whatever is nested."""
    kept = {"half": "\ud800", "large": 10**40, "deep": [[[{"a": [1.0, None, True]}]]]}
    given = [
        {"prompt": asked, "completion": said, **kept, "far": {"x": [float("-inf")]}}
        for asked, said in zip(ASKED, SAID, strict=True)
    ]
    path = tmp_path / "rows.jsonl.xz"
    path.write_bytes(lzma.compress("".join(json.dumps(row) + "\n" for row in given).encode()))
    rows, changes = _fixed(path)
    wanted = zip(given, MENDED, strict=True)
    assert rows == [{**row, "completion": said, "far": {"x": [None]}} for row, said in wanted]
    assert [change["rewritten"].get("not_a_number") for change in changes] == [1, 1]


def test_cells_of_tables_stay_the_texts_they_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    pairs = zip(ASKED, SAID, strict=True)
    lines = [f'"{asked}","{said}","007, 1e5\n""nan"""' for asked, said in pairs]
    text = "\n".join(["\ufeffprompt,completion,note", *lines])
    path.write_bytes(gzip.compress(text.encode()))
    rows, _ = _fixed(path)
    assert rows == [
        {"prompt": asked, "completion": said, "note": '007, 1e5\n"nan"'}
        for asked, said in zip(ASKED, MENDED, strict=True)
    ]
