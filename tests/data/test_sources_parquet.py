"""Parquet: rows by their number, values that JSON could hold, and any other named."""

from __future__ import annotations

import datetime
import gzip
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin
from tunesmith.data.sources import Place, blocks, limits, read, rows_at

CHAT = [{"role": "user", "content": "Größe?"}, {"role": "assistant", "content": "42"}]


def _file(folder: Path, table: pa.Table, name: str = "rows.parquet", **options: Any) -> str:
    path = folder / name
    pq.write_table(table, path, **options)
    return str(path)


def _column(values: list[Any], kind: pa.DataType | None = None, name: str = "text") -> pa.Table:
    return pa.Table.from_arrays([pa.array(values, kind)], names=[name])


@pytest.mark.parametrize("size", [1, 1 << 20])
@pytest.mark.parametrize("groups", [1, 3, 100])
def test_rows_have_their_numbers_and_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, groups: int
) -> None:
    monkeypatch.setattr(limits, "BLOCK", size)
    expected = [{"messages": CHAT, "page": number} for number in range(10)]
    path = _file(tmp_path, pa.Table.from_pylist(expected), row_group_size=groups)
    found = [pickle.loads(pickle.dumps(block)) for block in blocks(path)]
    placed = [each for block in found for each in block.rows()]
    assert [each.row.fields for each in placed] == expected
    assert [each.row.origin for each in placed] == [Origin(path, n) for n in range(1, 11)]
    places = [Place(each.row.origin, each.start, each.size) for each in placed]
    assert rows_at(path, places[::-3]) == [each.row for each in placed[::-3]]
    packed = tmp_path / "rows.parquet.gz"
    packed.write_bytes(gzip.compress(Path(path).read_bytes()))
    assert [row.fields for row in read([str(packed)])] == expected


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (_column(["a", None]), ["a", None]),
        (_column([b"gr\xc3\xb6"]), ["grö"]),
        (_column([datetime.datetime(2026, 1, 2, 3)]), ["2026-01-02 03:00:00"]),
        (_column([1.5, 2.0]), [1.5, 2.0]),
        (_column([{"a": [datetime.date(2026, 1, 2)]}]), [{"a": ["2026-01-02"]}]),
        (_column([[("k", 1)]], pa.map_(pa.string(), pa.int64())), [{"k": 1}]),
        (_column(["a", "a"]).combine_chunks(), ["a", "a"]),
        (pa.table({"text": pa.array(["a", "b", "a"]).dictionary_encode()}), ["a", "b", "a"]),
    ],
)
def test_values_are_what_json_could_hold(
    tmp_path: Path, table: pa.Table, expected: list[Any]
) -> None:
    path = _file(tmp_path, table)
    assert [row.fields["text"] for row in read([path])] == expected


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (_column(["a", b"\xff"], pa.binary(), "image"), r':2: the column "image" \(binary\) holds'),
        (
            _column([[(1, "a")]], pa.map_(pa.int64(), pa.string())),
            r':1: the column "text" \(map<int64, string\) holds|:1: the column "text" \(map',
        ),
        (_column([]), "holds columns and no rows"),
        (pa.table({}), "has no columns"),
        (pa.Table.from_arrays([pa.array(["a"])] * 2, names=["a", "a"]), "are both named"),
        (_column(["a"], name=""), "column 1 of the header has no name"),
    ],
)
def test_what_holds_no_rows_is_named(tmp_path: Path, table: pa.Table, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read([_file(tmp_path, table)])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = Path(_file(tmp_path, _column(["some text"] * 1000), write_page_checksum=True))
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[20] ^= 0xFF
    for damaged in (data[:-20], data[:200], bytes(flipped), b"PAR1" * 4):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"rows\.parquet is damaged, or no Parquet file"):
            read([str(path)])
    path.write_bytes(b"text\n" * 9)
    with pytest.raises(DataError, match=r"ends in \.parquet, but does not begin as a Parquet"):
        read([str(path)])


def test_a_letter_that_was_changed_on_disk_is_never_trained_on(tmp_path: Path) -> None:
    table = _column(["some text"])
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    path = Path(_file(tmp_path, table, write_page_checksum=True, **plain))
    data = path.read_bytes()
    assert data.count(b"some text") == 1
    path.write_bytes(data.replace(b"some text", b"some test"))
    with pytest.raises(DataError, match=r"rows\.parquet is damaged"):
        read([str(path)])


def test_a_file_out_of_proportion_ends_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _file(tmp_path, _column(["a" * 10_000] * 2_000))
    assert Path(path).stat().st_size * limits.RATIO < 10 << 20
    assert len(read([path])) == 2_000, "what is small is free"
    monkeypatch.setattr(limits, "FREE", 1 << 16)
    with pytest.raises(DataError, match=r"unpacks to more than .* 200 times its size"):
        read([path])


def test_rows_that_are_gone_are_not_read_again(tmp_path: Path) -> None:
    path = _file(tmp_path, _column(["a"]))
    with pytest.raises(DataError, match=r"rows\.parquet:2: the row is no longer what it was"):
        rows_at(path, [Place(Origin(path, 1), 0, 0), Place(Origin(path, 2), 0, 0)])
