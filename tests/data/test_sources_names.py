"""Folders and patterns: the files they stand for, sorted, each once, and nothing in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tunesmith.core.errors import DataError
from tunesmith.data.sources import expand, read, require_distinct, require_readable


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the process works, holding files of rows, hidden ones, and links that lead back."""
    for name in ("b.jsonl", "a.csv.gz", "deep/er/c.json", "deep/d.jsonl", ".hidden/e.jsonl"):
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('{"text": "a"}\n')
    (tmp_path / "data" / ".f.jsonl").touch()
    (tmp_path / "data" / "deep" / "back").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "deep" / "er" / "again").symlink_to(tmp_path / "data" / "deep")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("data", ["a.csv.gz", "b.jsonl", "deep/d.jsonl", "deep/er/c.json"]),
        ("data/", ["a.csv.gz", "b.jsonl", "deep/d.jsonl", "deep/er/c.json"]),
        ("data/deep/back/deep/er", ["deep/back/deep/er/c.json"]),
        ("data/*.jsonl", ["b.jsonl"]),
        ("data/?.*", ["a.csv.gz", "b.jsonl"]),
        ("data/[ab].jsonl", ["b.jsonl"]),
        ("data/**/*.json*", ["b.jsonl", "deep/d.jsonl", "deep/er/c.json"]),
        ("data/**/**/er/**/c.json", ["deep/er/c.json"]),
        ("d*/d*/*/c.json", ["deep/er/c.json"]),
        ("data/missing.jsonl", ["missing.jsonl"]),
    ],
)
def test_a_name_stands_for_its_files(folder: Path, name: str, files: list[str]) -> None:
    found = expand([name]).files
    assert [os.path.relpath(file, "data") for file in found if "again" not in file] == files
    assert [os.path.normpath(file) for file in expand([str(folder / name)]).files] == [
        str(folder / file) for file in found
    ]


def test_folders_and_files_keep_the_order_they_are_named_in(folder: Path) -> None:
    assert expand(["data/deep", "data/b.jsonl"]).files == (
        "data/deep/back/a.csv.gz",
        "data/deep/back/b.jsonl",
        "data/deep/d.jsonl",
        "data/deep/er/c.json",
        "data/b.jsonl",
    )
    with pytest.raises(DataError, match=r"b\.jsonl is named more than once \(also as data/deep"):
        require_distinct(expand(["data/deep", "data/b.jsonl"]).files)


def test_a_name_with_a_star_in_it_is_a_file_if_there_is_one(folder: Path) -> None:
    (folder / "data" / "[1].jsonl").write_text('{"text": "b"}\n')
    assert expand(["data/[1].jsonl"]).files == ("data/[1].jsonl",)
    assert [row.fields["text"] for row in read(["data/[1].jsonl"])] == ["b"]


def test_files_that_are_left_out_are_told_of(folder: Path) -> None:
    for name in ("LICENSE", "notes.odt", "x", "recipe.yaml"):
        (folder / "data" / name).touch()
    (finding,) = expand(["data", "data/*.jsonl"]).findings
    assert (finding.reason, finding.severity) == ("skipped_files", "warn")
    assert finding.message == (
        "data: 4 files not read: 4 of other endings (data/LICENSE, data/notes.odt, "
        "data/recipe.yaml, …). Name a file itself to have it read."
    )


@pytest.mark.parametrize(
    ("name", "what"),
    [("README.md", "documents"), ("make.py", "source code"), ("a.pdf", "documents")],
)
def test_rows_and_documents_are_not_read_together(folder: Path, name: str, what: str) -> None:
    (folder / "data" / name).write_text("About these rows.")
    with pytest.raises(DataError, match=rf"rows \(.*\) beside {what} \(data/{name}\)") as caught:
        expand(["data"])
    pattern = f"data/**/*{Path(name).suffix}"
    assert f'by a pattern: "data/**/*.csv.gz" or "{pattern}".' in str(caught.value)
    assert expand([pattern]).files == (f"data/{name}",)


def test_a_folder_of_documents_is_read_in_order(folder: Path) -> None:
    (folder / "notes").mkdir()
    for name in ("b.txt", "a.md.xz"):
        (folder / "notes" / name).touch()
    assert expand(["notes"]).files == ("notes/a.md.xz", "notes/b.txt")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", r"empty is a folder without a data file\. Data files end in \.jsonl"),
        (
            "other",
            r"data file; it holds 1 of other endings \(other/x\.bin\)\. Data files end in",
        ),
        ("data/*.parquet", r"No file matches data/\*\.parquet"),
        ("nowhere/*.json", r"The folder .*nowhere cannot be read \(No such file or directory\)"),
    ],
)
def test_names_that_lead_to_nothing(folder: Path, name: str, message: str) -> None:
    (folder / "empty").mkdir()
    (folder / "other").mkdir()
    (folder / "other" / "x.bin").touch()
    with pytest.raises(DataError, match=message):
        expand([name])


def test_links_that_lead_nowhere_are_not_passed_over(folder: Path) -> None:
    (folder / "data" / "gone.jsonl").symlink_to("nothing.jsonl")
    with pytest.raises(DataError, match=r"no file data/gone\.jsonl"):
        require_readable(expand(["data"]).files)
    (folder / "data" / "gone.jsonl").unlink()
    (folder / "data" / "self.jsonl").symlink_to("self.jsonl")
    with pytest.raises(DataError, match=r"self\.jsonl cannot be read \(Too many levels"):
        require_readable(expand(["data"]).files)


def test_a_name_that_is_no_text_is_refused(folder: Path) -> None:
    try:
        (folder / "data" / os.fsdecode(b"\xff.jsonl")).touch()
    except OSError:
        pytest.skip("this file system keeps no such names")
    with pytest.raises(DataError, match=r"A name in the folder data is not UTF-8 \('\\udcff") as e:
        expand(["data"])
    str(e.value).encode()
