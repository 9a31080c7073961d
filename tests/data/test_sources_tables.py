"""CSV and TSV: true lines, exact cells, and every slip of a table named by its line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tunesmith.core.errors import DataError
from tunesmith.data.sources import Place, blocks, limits, read, rows_at


def _file(folder: Path, text: str | bytes, name: str = "rows.csv") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("text,label\na,b\n", "rows.csv", [(2, ["a", "b"])]),
        ("text,label\r\na,b\r\n\r\nc,d", "rows.csv", [(2, ["a", "b"]), (4, ["c", "d"])]),
        ("\ufeff\n text , label \na,b\n", "rows.csv", [(3, ["a", "b"])]),
        ('text,label\n"a\n""x"", y",b\nc,', "rows.csv", [(2, ['a\n"x", y', "b"]), (4, ["c", ""])]),
        ('"text";"label"\n"a;b,c";5" wide\n', "rows.csv", [(2, ["a;b,c", '5" wide'])]),
        ("text\tlabel\na, b\tc\n", "rows.csv", [(2, ["a, b", "c"])]),
        ("te,xt\tlab,el,\na, b\tc\n", "rows.tsv", [(2, ["a, b", "c"])]),
        ('"text\n1",label\na\u2028b,größe\n', "rows.CSV", [(3, ["a\u2028b", "größe"])]),
    ],
)
def test_rows_and_their_true_lines(
    tmp_path: Path, text: str, name: str, expected: list[tuple[int, list[str]]]
) -> None:
    rows = read([_file(tmp_path, text, name)])
    assert [(row.origin.line, list(row.fields.values())) for row in rows] == expected
    assert all(name == name.strip() for row in rows for name in row.fields)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["rows.csv is empty", "names its columns"]),
        ("\n\n", ["rows.csv is empty"]),
        ("text,label\n\n", ["rows.csv holds a header and no rows"]),
        ("text,label\na,b\n\nc, d, e\n", ["rows.csv:4:", "has 3 cells", "2 columns (text, label)"]),
        ("text,label\na\n", ["rows.csv:2:", "has 1 cells"]),
        ("text,label,text\na,b,c\n", ["rows.csv:1:", 'columns 1 and 3 are both named "text"']),
        (",text\n0,a\n", ["rows.csv:1:", "column 1 of the header has no name", "index=False"]),
        ("text,label,\na,b,\n", ["rows.csv:1:", "column 3 of the header has no name"]),
        ('text\na\n"b\nc\n', ["rows.csv:3:", "double quote is opened", "never closed"]),
        ('"text\na\n', ["rows.csv:1:", "never closed"]),
        ('text\n"b" c\n', ["rows.csv:2:", "is no row of a table", "double quotes"]),
        ("text\na\rb\n", ["rows.csv:2:", "is no row of a table", "new-line"]),
        ("text\na\n\nb\0\n", ["rows.csv:4:", "holds a NUL byte"]),
        (b"text\na\n\xe4\n", ["rows.csv:3:", "not UTF-8", "0xe4", "offset 7"]),
    ],
)
def test_a_broken_table_is_named_by_line(
    tmp_path: Path, text: str | bytes, parts: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        read([_file(tmp_path, text)])
    for part in parts:
        assert part in str(caught.value)


def test_a_quote_that_never_closes_is_not_read_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ROW", 100)
    path = _file(tmp_path, "text,label\na,b\n" * 20 + '"c,d\n' + "a,b\n" * 100)
    with pytest.raises(DataError, match=r"rows\.csv:\d+: a row .* is longer than 100 bytes"):
        read([path])
    path = _file(tmp_path, "text,label\n" + "a,b\n" * 100)
    assert len(read([path])) == 100, "it is rows that are bounded, not files"


@pytest.mark.parametrize("size", [1, 40, 1 << 20])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_blocks_change_no_row_and_each_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, separator: str
) -> None:
    monkeypatch.setattr(limits, "BLOCK", size)
    cells = ["größe", 'a "quote"', "two\nlines", "a\r\nb", ",;\t", "", " x "]
    into = io.StringIO()
    writer = csv.writer(into, delimiter=separator)
    writer.writerow(["text", "label"])
    writer.writerows([cell, str(number)] for number, cell in enumerate(cells))
    path = _file(tmp_path, "\ufeff" + into.getvalue())
    placed = [each for block in blocks(path) for each in block.rows()]
    rows = [each.row for each in placed]
    assert [row.fields for row in rows] == [
        {"text": cell, "label": str(number)} for number, cell in enumerate(cells)
    ]
    places = [Place(each.row.origin, each.start, each.size) for each in placed]
    assert rows_at(path, places[::-2]) == rows[::-2]


def test_a_row_that_has_changed_is_not_read_again(tmp_path: Path) -> None:
    path = _file(tmp_path, "text,label\na,b\nc,d\n")
    (block,) = blocks(path)
    places = [Place(each.row.origin, each.start, each.size) for each in block.rows()]
    for now in ("text,label\na,b\n", "text,label\na,bbbbbbb\nc,d\n", "text\na\nc\n"):
        with pytest.raises(DataError, match="the row is no longer what it was"):
            rows_at(_file(tmp_path, now), places)
