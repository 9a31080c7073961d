"""Plain text and Markdown: one file, one row."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin
from tunesmith.data.sources import Place, blocks, limits, read, rows_at


def _file(folder: Path, data: bytes, name: str = "notes.txt") -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("name", ["notes.txt", "notes.md", "NOTES.MD", "notes.markdown"])
def test_a_file_is_a_row_with_plain_line_ends(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path, b"\xef\xbb\xbf# Size\r\n\r\nGr\xc3\xb6\xc3\x9fe\rand {more}\n", name)
    (row,) = read([path])
    assert row.origin == Origin(path, 1)
    assert row.fields == {"text": "# Size\n\nGröße\nand {more}\n"}
    (block,) = blocks(path)
    places = [Place(each.row.origin, each.start, each.size) for each in block.rows()]
    assert rows_at(path, places) == [row]
    with pytest.raises(DataError, match="the row is no longer what it was"):
        rows_at(_file(tmp_path, b"# Size", name), places)


def test_an_empty_document_is_a_row_that_the_ledger_can_tell_of(tmp_path: Path) -> None:
    assert [row.fields for row in read([_file(tmp_path, b"")])] == [{"text": ""}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\nb\0\n", r"notes\.txt:2: the file holds a NUL byte"),
        (b"a\n\xe4\n", r"notes\.txt:2: the file is not UTF-8: byte 0xe4 at offset 2"),
        (b"a" * 101, r"notes\.txt:1: the document .* longer than 100 bytes"),
    ],
)
def test_what_is_no_text_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, message: str
) -> None:
    monkeypatch.setattr(limits, "ROW", 100)
    with pytest.raises(DataError, match=message):
        read([_file(tmp_path, data)])
