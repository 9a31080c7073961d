"""Packed files: read as their content is, cut-off and damaged ones named, and none without end."""

from __future__ import annotations

import gzip
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tunesmith.core.errors import DataError
from tunesmith.data.sources import Place, blocks, limits, read, rows_at

LINES = b"".join(b'{"text": "row %d"}\n' % number for number in range(200))


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}
each_packing = pytest.mark.parametrize("ending", PACKERS)


def _file(folder: Path, data: bytes, name: str) -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


@each_packing
@pytest.mark.parametrize("size", [64, 1 << 20])
def test_what_is_packed_is_read_as_what_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, size: int
) -> None:
    monkeypatch.setattr(limits, "BLOCK", size)
    plain = _file(tmp_path, LINES, "rows.jsonl")
    packed = _file(tmp_path, PACKERS[ending](LINES), f"rows.jsonl{ending}")
    found, expected = (
        [each for block in blocks(path) for each in block.rows()] for path in (packed, plain)
    )
    assert [(e.row.fields, e.row.origin.line, e.start, e.size) for e in found] == [
        (e.row.fields, e.row.origin.line, e.start, e.size) for e in expected
    ]
    places = [Place(each.row.origin, each.start, each.size) for each in found[::17]]
    assert rows_at(packed, places) == [each.row for each in found[::17]]


@each_packing
def test_members_one_after_another_are_one_content(tmp_path: Path, ending: str) -> None:
    pack = PACKERS[ending]
    data = pack(LINES[:1000]) + (b"\0" * 8 if ending == ".xz" else b"") + pack(LINES[1000:])
    assert len(read([_file(tmp_path, data, f"rows.jsonl{ending}")])) == 200


@each_packing
def test_the_packing_is_told_by_the_content(tmp_path: Path, ending: str) -> None:
    assert len(read([_file(tmp_path, PACKERS[ending](LINES), "rows.jsonl")])) == 200
    with pytest.raises(DataError, match=rf"ends in {ending}, but is not packed with"):
        read([_file(tmp_path, LINES, f"rows.jsonl{ending}")])
    with pytest.raises(DataError, match=rf"ends in {ending}, but is empty"):
        read([_file(tmp_path, b"", f"rows.jsonl{ending}")])
    with pytest.raises(DataError, match="is packed twice"):
        read([_file(tmp_path, PACKERS[ending](gzip.compress(LINES)), f"rows.jsonl{ending}")])


@each_packing
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_never_half_read(
    tmp_path: Path, ending: str, share: float
) -> None:
    data = PACKERS[ending](LINES)
    path = _file(tmp_path, data[: int(share * len(data))], f"rows.jsonl{ending}")
    with pytest.raises(DataError, match=r"is cut off|is damaged|is not packed with"):
        read([path])


@each_packing
def test_a_damaged_file_is_named(tmp_path: Path, ending: str) -> None:
    data = bytearray(PACKERS[ending](LINES))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(DataError, match=rf"rows\.jsonl{ending} is damaged: its \w+ data cannot"):
        read([_file(tmp_path, bytes(data), f"rows.jsonl{ending}")])


def _read_on(path: str) -> None:
    for block in blocks(path):
        del block


@each_packing
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.txt", "rows.json"])
def test_a_bomb_ends_in_a_sentence_and_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, name: str
) -> None:
    monkeypatch.setattr(limits, "FREE", 1 << 20)
    bomb = PACKERS[ending]((b"a," + b"b" * 4093 + b"\n") * (1 << 12))
    path = _file(tmp_path, bomb, f"{name}{ending}")
    assert len(bomb) * limits.RATIO < 16 << 20
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"unpacks to more than \d+ MB, 200 times its size"):
            _read_on(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("ending", ["", *PACKERS])
@pytest.mark.parametrize("form", [".jsonl", ".csv"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, form: str, ending: str) -> None:
    row = b'{"text": "%d' if form == ".jsonl" else b'"%d'
    end = b'"}\n' if form == ".jsonl" else b'"\n'
    rows = (row % number + b" word" * 400 + end for number in range(16_000))
    data = b"".join([b"" if form == ".jsonl" else b"text\n", *rows])  # 32 MB
    path = _file(tmp_path, PACKERS[ending](data) if ending else data, f"rows{form}{ending}")
    del data
    tracemalloc.start()
    try:
        _read_on(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_an_xz_file_cannot_ask_for_any_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _file(tmp_path, lzma.compress(LINES), "rows.jsonl.xz")
    monkeypatch.setattr("tunesmith.data.sources.packed._DICTIONARY", 1 << 20)
    with pytest.raises(DataError, match=r"cannot be unpacked \(Memory usage limit exceeded\)"):
        read([path])
