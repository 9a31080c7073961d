"""Files in, rows out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin
from tunesmith.data import sources
from tunesmith.data.sources import Place, blocks, limits, read, require_distinct, rows_at
from tunesmith.data.sources.json_lines import LineBlock


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


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder where a data file is needed"):
        list(blocks(str(tmp_path)))


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


def test_what_cannot_be_read_twice_is_refused(tmp_path: Path) -> None:
    sources.require_readable([_file(tmp_path, "{}")])
    with pytest.raises(DataError, match="is a pipe or a device"):
        sources.require_readable(["/dev/null"])
    with pytest.raises(DataError, match="There is no file"):
        sources.require_readable([_file(tmp_path, "{}"), str(tmp_path / "none.jsonl")])


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize(
    "text",
    [
        '{"text": "größe"}\n\n  \n{"text": "b\u2028"}\r\n{"text": "c"}',
        '\ufeff{"text": "größe"}\n{"text": "b\u2028"}\n{"text": "c"}\n',
        '\ufeff[{"text": "größe"},\n {"text": "b\u2028"} , {"text": "c"}]',
        ' {"n": {"data": [1]}, "data":\n[{"text": "größe"},\n{"text": "b\u2028"}, {"text": "c"}]}',
    ],
)
def test_the_size_of_blocks_changes_no_row_and_each_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, size: int
) -> None:
    path = _file(tmp_path, text)
    rows = read([path])
    monkeypatch.setattr(limits, "BLOCK", size)
    monkeypatch.setattr(limits, "ITEMS", min(size, 2))
    placed = [each for block in blocks(path) for each in block.rows()]
    assert [each.row for each in placed] == rows
    assert [row.fields["text"] for row in rows] == ["größe", "b\u2028", "c"]
    places = [Place(each.row.origin, each.start, each.size) for each in placed]
    assert rows_at(path, places[::-1]) == rows[::-1]
    assert rows_at(path, places[1:2]) == rows[1:2]


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_fault_in_a_later_block_keeps_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(limits, "BLOCK", size)
    lines = b'\xef\xbb\xbf{"text": "a"}\n\n{"text": "b"}\n'
    with pytest.raises(DataError, match=r"rows\.jsonl:4: .* byte 0xff at offset 33"):
        read([_file(tmp_path, lines + b"{\xff}\n")])
    with pytest.raises(DataError, match=r"rows\.jsonl:4: this is not JSON \(column 2"):
        read([_file(tmp_path, lines + b"{a}\n")])


def test_a_long_file_of_lines_is_not_read_to_find_its_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BLOCK", 1)
    monkeypatch.setattr(limits, "WHOLE", 0)
    for first in ('{"text": "a"}', '{"text": a}', "x", '{"text": "a'):
        block = next(blocks(_file(tmp_path, f"{first}\n" + '{"text": "b"}\n' * 9)))
        assert isinstance(block, LineBlock)
        assert block.line == 1


def test_a_line_without_an_end_is_not_held_to_the_end_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BLOCK", 8)
    monkeypatch.setattr(limits, "ROW", 64)
    path = _file(tmp_path, '{"text": "a"}\n' * 5 + '{"text": "' + "b" * 90 + '"}\n')
    with pytest.raises(DataError, match=r"rows\.jsonl:6: the line .* longer than 64 bytes"):
        read([path])
    array = _file(tmp_path, '[{"text": "' + "b" * 90 + '"}]', "rows.json")
    assert len(read([array])) == 1, "an array may stand on one line"
    monkeypatch.setattr(limits, "WHOLE", 64)
    with pytest.raises(DataError, match="holds more than 64 bytes, and a JSON array must be held"):
        read([array])


def test_a_row_that_has_changed_is_not_read_again(tmp_path: Path) -> None:
    path = _file(tmp_path, '{"text": "a"}\n{"text": "b"}\n')
    (block,) = blocks(path)
    places = [Place(each.row.origin, each.start, each.size) for each in block.rows()]
    for now in ('{"text": "a"}\n', '{"text": "abc"}\n{"text": "b"}\n'):
        with pytest.raises(DataError, match=r"rows\.jsonl:[12]: the row is no longer what it was"):
            rows_at(_file(tmp_path, now), places)


def test_a_value_that_is_no_text_is_still_told_of(tmp_path: Path) -> None:
    for value in ('"\\ud800"', "[" * 900 + "]" * 900):
        with pytest.raises(DataError, match="must be a JSON object") as caught:
            read([_file(tmp_path, f"{value}\n" * 2)])
        str(caught.value).encode()


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"PK\x03\x04", "a ZIP archive"),
        (b"BZh91AY", "packed with bzip2"),
        (b"ARROW1\0\0", "an Arrow file"),
        (b"\xff\xfe{\0", "UTF-16"),
        (b"notes.txt".ljust(257, b"\0") + b"ustar", "a tar archive"),
    ],
)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.txt", "rows.csv"])
def test_a_known_form_that_is_not_read_is_named(
    tmp_path: Path, head: bytes, what: str, name: str
) -> None:
    with pytest.raises(DataError, match=rf"{name} is {what}.* which is not read\. \w+"):
        read([_file(tmp_path, head + b" and so on\n", name)])


@pytest.mark.parametrize("name", ["rows.txt", "rows.md", "rows.csv", "rows", "rows.data"])
@pytest.mark.parametrize(
    "text", ['{"text": "a"}\n', '[{"text": "a"}]', '\ufeff\n{"data": [\n{"text": "a"}]}']
)
def test_json_is_told_by_its_content(tmp_path: Path, name: str, text: str) -> None:
    assert [row.fields for row in read([_file(tmp_path, text, name)])] == [{"text": "a"}]
