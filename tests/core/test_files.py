"""Files are whole or not there, and a refusal of the disk is a finished sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import save_file

from tunesmith.core import files
from tunesmith.core.errors import DataError, StorageError


def _refuse(number: int) -> Any:
    def refused(*args: Any, **kwargs: Any) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return refused


@pytest.mark.parametrize("broken", ["os.replace", "os.fsync"])
def test_a_failing_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "state.json"
    files.write_json(path, {"step": 1})
    monkeypatch.setattr(broken, _refuse(errno.ENOSPC))
    with pytest.raises(StorageError):
        files.write_json(path, {"step": 2})
    assert files.read_json(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_what_making_a_part_raises_leaves_nothing(tmp_path: Path) -> None:
    def parts() -> Iterator[str]:
        yield "a"
        raise DataError("rows.jsonl:2: this is no row.")

    with pytest.raises(DataError):
        files.write_texts(tmp_path / "a.txt", parts())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, r"disk is full: .*a\.txt could not be written.*Free some space"),
        (errno.EDQUOT, r"disk is full"),
        (errno.EACCES, r"a\.txt cannot be written \(Permission denied\).*--out"),
        (errno.EROFS, r"a\.txt cannot be written \(Read-only file system\).*--out"),
        (errno.ENOTDIR, r"a\.txt cannot be written \(Not a directory\).*--out"),
        (errno.EIO, r"a\.txt could not be written \(Input/output error\)\.$"),
    ],
)
def test_each_refusal_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    monkeypatch.setattr("builtins.open", _refuse(number))
    with pytest.raises(StorageError, match=sentence):
        files.write_text(tmp_path / "a.txt", "text")
    with pytest.raises(StorageError, match=sentence):
        files.append_jsonl(tmp_path / "a.txt", {})


def test_refusals_that_libraries_word_themselves_are_understood(tmp_path: Path) -> None:
    """safetensors raises an error of its own; here because its file's folder is a file."""
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "weights.safetensors"
    with (
        pytest.raises(StorageError, match=r"out cannot be written \(Not a directory\)"),
        files.storage_errors(tmp_path / "out"),
    ):
        save_file({"weights": torch.zeros(3)}, target)


def test_other_errors_are_not_taken_for_the_disk_s(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), files.storage_errors(tmp_path):
        _ = 1 / 0


def test_a_folder_appears_whole_and_replaces_the_older(tmp_path: Path) -> None:
    for text in ("one", "two"):
        with files.whole_folder(tmp_path / "made" / "out") as draft:
            (draft / "text").write_text(text)
            (draft / f"only-{text}").touch()
            assert text == "two" or not (tmp_path / "made" / "out").exists()
    assert sorted(p.name for p in (tmp_path / "made" / "out").iterdir()) == ["only-two", "text"]
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["out"]


def _fail_half_way(path: Path, error: BaseException) -> None:
    with files.whole_folder(path) as draft:
        (draft / "text").write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt()])
def test_a_folder_that_fails_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        _fail_half_way(tmp_path / "out", error)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_fails_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with files.whole_folder(tmp_path / "out") as draft:
        (draft / "text").write_text("old")
    monkeypatch.setattr("os.fsync", _refuse(errno.ENOSPC))
    with (
        pytest.raises(StorageError, match="disk is full"),
        files.whole_folder(tmp_path / "out") as draft,
    ):
        (draft / "text").write_text("new")
    assert (tmp_path / "out" / "text").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".partial-folder").mkdir()
    (tmp_path / ".partial-folder" / "text").touch()
    (tmp_path / ".partial-file").touch()
    (tmp_path / "kept").touch()
    files.remove_partial(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_json_lines_survive_a_line_cut_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    files.write_jsonl(path, [{"step": 1}])
    files.append_jsonl(path, {"step": 2})
    with open(path, "a", encoding="utf-8") as handle:
        handle.write('{"step": 3')
    assert files.read_jsonl(path) == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize("write", [files.write_json, files.append_jsonl])
def test_nan_is_never_written(tmp_path: Path, write: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write(tmp_path / "values", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_sha256_is_the_standard_one(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")
