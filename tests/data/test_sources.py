"""Files in, rows out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.core.errors import DataError
from tunesmith.data.sources import read


def _file(folder: Path, text: str | bytes, name: str = "rows.jsonl") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('{"text": "a"}\n\n  \n{"text": "b"}\r\n', [1, 4]),
        ('\ufeff{"text": "a"}\n{"text": "b"}', [1, 2]),
        ('[{"text": "a"}, {"text": "b"}]', [1, 1]),
        ('\n[\n  {"text":\n "a"},\n\n  {"text": "b"}\n]\n', [3, 6]),
        ('{"data": [{"text": "a"},\n{"text": "b"}]}', [1, 2]),
        ('{\n "version": {"data": [1]},\n "data": [\n{"text": "a"},\n{"text": "b"}]}', [4, 5]),
    ],
)
def test_rows_and_their_true_lines(tmp_path: Path, text: str, lines: list[int]) -> None:
    rows = read([_file(tmp_path, text)])
    assert [row.fields["text"] for row in rows] == ["a", "b"]
    assert [row.origin.line for row in rows] == lines


def test_a_line_separator_inside_a_string_ends_no_line(tmp_path: Path) -> None:
    rows = read([_file(tmp_path, '{"text": "a\u2028b"}\n{"text": "c"}\n')])
    assert [(row.origin.line, row.fields["text"]) for row in rows] == [(1, "a\u2028b"), (2, "c")]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["rows.jsonl is empty"]),
        (" \n\n", ["rows.jsonl is empty"]),
        ("[]", ["empty list"]),
        (
            '{"text": "a"}\n\n{"text": a}\n',
            ["rows.jsonl:3:", "not JSON", "column 10", '{"text": a}'],
        ),
        ('{"text": "a"}\n["b"]\n', ["rows.jsonl:2:", "must be a JSON object", '["b"]']),
        ("a,b\n1,2\n", ["rows.jsonl:1:", "not JSON", "begins a,b"]),
        ('[{"text": "a"},\n3]', ["rows.jsonl:2:", "must be a JSON object", "received 3"]),
        ('[{"text": "a"},\n{"text" "b"}]', ["rows.jsonl:2:", "not JSON"]),
        ('[\n{"text": "a"}\n{"text": "b"}]', ["rows.jsonl:2:", "a comma"]),
        ('[{"text": "a"}', ["rows.jsonl:1:", "end of the file"]),
        (b'{"text": "a"}\n{"text": "\xe4"}\n', ["rows.jsonl:2:", "not UTF-8", "0xe4", "offset 24"]),
        (b"\xef\xbb\xbf{}\n\xff", ["rows.jsonl:2:", "0xff", "offset 6"]),
        ("[" * 200_000, ["rows.jsonl:1:", "not JSON"]),
    ],
)
def test_unusable_files_are_named_by_line(
    tmp_path: Path, text: str | bytes, parts: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        read([_file(tmp_path, text)])
    for part in parts:
        assert part in str(caught.value)


def test_a_missing_file_offers_a_close_name(tmp_path: Path) -> None:
    there = _file(tmp_path, "{}", "tickets.jsonl")
    with pytest.raises(DataError, match=r"no file .*tickets\.jsnl\. Did you mean ") as caught:
        read([str(tmp_path / "tickets.jsnl")])
    assert there in str(caught.value)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the folder .* does not exist"):
        read([str(tmp_path / "nowhere" / "rows.jsonl")])


def test_a_folder_names_its_files(tmp_path: Path) -> None:
    there = _file(tmp_path, "{}", "tickets.jsonl")
    with pytest.raises(DataError, match="is a folder") as caught:
        read([str(tmp_path)])
    assert there in str(caught.value)
