"""Files that are either whole or not there: atomic writes, JSON lines, hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError, StorageError

_TEMPORARY = ".partial-"


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write `path` into a finished sentence."""
    try:
        yield
    except Exception as error:
        refusal = _refusal_in(error)
        if refusal is None:
            raise
        raise StorageError(storage_sentence(path, refusal)) from error


def _refusal_in(error: Exception) -> OSError | None:
    """The operating system's refusal that `error` is, or that its text carries.

    safetensors and tokenizers write from Rust and raise errors of their own, which end in
    "(os error 28)".
    """
    if isinstance(error, OSError):
        return error
    found = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else None


def storage_sentence(path: Path, error: OSError) -> str:
    """What went wrong when writing `path`, and what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk is full: {path} could not be written. What was saved before is whole. "
            "Free some space, then resume the run."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        return (
            f"{path} cannot be written ({error.strerror}). Choose a folder you may write to with "
            "--out."
        )
    return f"{path} could not be written ({error.strerror or error})."


def require_new(path: Path, what: str) -> None:
    """Raises DataError if `path`, meant for `what`, exists, or its folder does not."""
    if path.exists():
        raise DataError(f"{path} exists already. Name a new file, or remove that one first.")
    if not path.parent.is_dir():
        raise DataError(f"There is no folder {path.parent} for {what}. Make it first.")


def write_text(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    write_texts(path, [text])


def write_texts(path: Path, texts: Iterable[str]) -> None:
    """Write a file as `write_text` does, from its parts, of which one is held at a time."""
    with _whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as handle:
        handle.writelines(texts)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file as `write_text` does, of bytes."""
    with _whole_file(path) as temporary, open(temporary, "wb") as handle:
        handle.write(data)


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """Yields where to write what is to be the file `path`: it appears once it is all on disk, and
    after any error, also one in making its content, nothing is left behind."""
    temporary = path.with_name(f"{_TEMPORARY}{path.name}")
    with storage_errors(path):
        try:
            yield temporary
            _sync_file(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented, with a final newline. NaN is refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, values: Iterable[Any]) -> None:
    """Write JSON lines atomically."""
    write_texts(
        path, (json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n" for value in values)
    )


def append_jsonl(path: Path, value: Any) -> None:
    """Add one line to a JSON-lines file in a single write."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
    with storage_errors(path), open(path, "a", encoding="utf-8") as handle:
        handle.write(line)


def read_json(path: Path) -> Any:
    """Read JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_jsonl(path: Path) -> list[Any]:
    """Read JSON lines; a last line cut short by a kill is left out."""
    return list(iterate_jsonl(path))


def iterate_jsonl(path: Path) -> Iterator[Any]:
    """Read JSON lines as `read_jsonl` does, one at a time."""
    with open(path, encoding="utf-8") as handle:
        for line in handle:
            if not line.endswith("\n"):
                break
            yield json.loads(line)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder that appears under its name only once everything in it is on disk.

    Yields a temporary folder beside `path`; on success it is synced and renamed, on any error it
    is removed. An older folder of that name is replaced.
    """
    temporary = path.with_name(f"{_TEMPORARY}{path.name}")
    with storage_errors(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _sync_file(file)
            if path.exists():
                shutil.rmtree(path)
            os.rename(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _sync_folder(path.parent)


def remove_partial(folder: Path) -> None:
    """Remove what a kill left half-written directly in `folder`."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sync_file(path: Path) -> None:
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
