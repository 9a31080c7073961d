"""Files in, rows out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin
from tunesmith.data.sources import read, require_distinct


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
        ('[{"text": "a"},\n3]', ["rows.jsonl:2 item 2:", "must be a JSON object", "received 3"]),
        ('[{"text": "a"},\n{"text" "b"}]', ["rows.jsonl:2 item 2:", "not JSON"]),
        ('[\n{"text": "a"}\n{"text": "b"}]', ["rows.jsonl:2 item 1:", "a comma"]),
        ('[{"text": "a"}', ["rows.jsonl:1 item 1:", "end of the file"]),
        (b'{"text": "a"}\n{"text": "\xe4"}\n', ["rows.jsonl:2:", "not UTF-8", "0xe4", "offset 24"]),
        (b"\xef\xbb\xbf{}\n\xff", ["rows.jsonl:2:", "0xff", "offset 6"]),
        ("[" * 200_000, ["rows.jsonl:1 item 1:", "not JSON"]),
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


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('[{"text": "a"}, {"text": "b"}]', ["rows.jsonl:1 item 1", "rows.jsonl:1 item 2"]),
        (
            '{"data": [{"text": "a"},\n{"text": "b"}]}',
            ["rows.jsonl:1 item 1", "rows.jsonl:2 item 2"],
        ),
        ('{"text": "a"}\n{"text": "b"}\n', ["rows.jsonl:1", "rows.jsonl:2"]),
    ],
)
def test_every_row_has_an_origin_of_its_own(tmp_path: Path, text: str, places: list[str]) -> None:
    origins = [row.origin for row in read([_file(tmp_path, text)])]
    assert [Path(str(origin)).name for origin in origins] == places
    assert [Origin(**json.loads(json.dumps(asdict(each)))) for each in origins] == origins


def test_one_file_under_two_names_is_found(tmp_path: Path) -> None:
    there, other = _file(tmp_path, "{}"), _file(tmp_path, "{}", "other.jsonl")
    link, hard = tmp_path / "link.jsonl", tmp_path / "hard.jsonl"
    link.symlink_to(there)
    hard.hardlink_to(there)
    require_distinct([there, other, str(tmp_path / "missing.jsonl")])
    for name in (there, str(link), str(hard), str(tmp_path / ".." / tmp_path.name / "rows.jsonl")):
        with pytest.raises(DataError, match=r"named more than once.*raise engine\.epochs"):
            require_distinct([there, other, name])
