"""What holds for any rows in any form, and for any bytes at all."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import DataError
from tunesmith.data.sources import Place, blocks, limits, rows_at

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
ROWS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8)
ENDINGS = [".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt", ".md", ""]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


def _fields(rows: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"prompt": prompt, "completion": completion} for prompt, completion in rows]


def _json_lines(rows: list[tuple[str, str]]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in _fields(rows)).encode()


def _json(rows: list[tuple[str, str]]) -> bytes:
    return json.dumps({"data": _fields(rows)}, ensure_ascii=False, indent=1).encode()


def _separated(rows: list[tuple[str, str]], separator: str) -> bytes:
    into = io.StringIO()
    writer = csv.writer(into, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([("prompt", "completion"), *rows])
    return into.getvalue().encode()


def _parquet(rows: list[tuple[str, str]]) -> bytes:
    into = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(_fields(rows)), into, row_group_size=3)
    return into.getvalue()


WRITERS: dict[str, Callable[[list[tuple[str, str]]], bytes]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": lambda rows: _separated(rows, ","),
    ".tsv": lambda rows: _separated(rows, "\t"),
    ".parquet": _parquet,
}


@pytest.fixture(scope="module", autouse=True)
def _small() -> Any:
    """Limits that small inputs reach."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ROW", "WHOLE", "FREE"):
            patch.setattr(limits, name, 1 << 16)
        yield


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=15, deadline=None)
@given(rows=ROWS, block=st.sampled_from([1, 30, 1 << 16]), data=st.data())
def test_rows_come_back_as_they_were_written(
    form: str, packing: str, rows: list[tuple[str, str]], block: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "BLOCK", block)
        path = Path(folder) / f"rows{form}{packing}"
        path.write_bytes(PACKERS[packing](WRITERS[form](rows)))
        placed = [each for block in blocks(str(path)) for each in block.rows()]
        assert [each.row.fields for each in placed] == _fields(rows)
        origins = [each.row.origin for each in placed]
        assert len(set(origins)) == len(rows)
        assert [origin.line for origin in origins] == sorted(origin.line for origin in origins)
        some = data.draw(st.permutations(placed))[:4]
        places = [Place(each.row.origin, each.start, each.size) for each in some]
        assert rows_at(str(path), places) == [each.row for each in some]


@settings(max_examples=150, deadline=None)
@given(
    ending=st.sampled_from(ENDINGS),
    packing=st.sampled_from(sorted(PACKERS)),
    data=st.binary(max_size=200) | st.text('{}[]",:;\t\r\na1\\\ufeff', max_size=60).map(str.encode),
)
def test_any_bytes_end_in_rows_or_in_a_finished_sentence(
    ending: str, packing: str, data: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"rows{ending}{packing}"
        path.write_bytes(PACKERS[packing](data))
        try:
            rows = [each.row for block in blocks(str(path)) for each in block.rows()]
        except DataError as error:
            rows, message = [], str(error)
        else:
            message = f"{path}."
        assert len({row.origin for row in rows}) == len(rows)
        assert str(path) in message
        assert message.encode().decode()[-1] in ".…"
