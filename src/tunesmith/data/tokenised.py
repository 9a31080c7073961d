"""Data files to a store: from the token cache, or made, by as many processes as there are cores.

Memory is constant where the files are large: a few blocks of a megabyte are in hand at a time, and
the tables go to disk as they come. Small files are made in memory by this process, at each start:
that takes a few seconds at most, and no trace of them is left anywhere.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tunesmith.core.errors import DataError, StorageError
from tunesmith.core.files import sha256
from tunesmith.core.records import Finding
from tunesmith.data.cache import TokenCache, key_of, seal
from tunesmith.data.digests import cache_folder, digest, identity
from tunesmith.data.portions import Tokenise
from tunesmith.data.quality.columns import TRAIN, VALIDATION, neighbours, sides_of
from tunesmith.data.quality.texts import Texts
from tunesmith.data.sources import Block, blocks, described, size_of
from tunesmith.data.store import TABLES, Portion, Store, Writer, mapped
from tunesmith.data.workers import applied

LARGE = 8 << 20
"""Bytes of data from which tokens are cached, and made by several processes. Starting those takes
as long as tokenising a few megabytes."""

Mapper = Callable[[Iterable[Block]], Iterator[Portion]]


@dataclass(frozen=True, slots=True)
class Tokenised:
    """A store, the SHA-256 of each file that it was made from, and what the user should know."""

    store: Store
    digests: dict[str, str]
    notes: list[Finding]


def tokenised(paths: Sequence[str], training: int, task: Tokenise) -> Tokenised:
    """The rows of the files, tokenised, looked at, and compared with each other.

    Args:
        paths: the training files, and behind them those that validate.
        training: how many are training files.
        task: what is done to single rows.

    Raises:
        DataError: a file cannot be read, is no data, or was written to meanwhile.
        StorageError: the data is large, and the disk cannot hold its tokens.
    """
    if sum(map(size_of, paths)) < LARGE:
        store = _in_memory(paths, training, task)
        return Tokenised(store, {path: sha256(Path(path)) for path in paths}, [])
    before = [identity(Path(path)) for path in paths]
    digests = {path: digest(Path(path)) for path in paths}
    cache = TokenCache(cache_folder() / "tokens")
    files = [(digests[path], described(path).identity(path)) for path in paths]
    key = key_of({"files": files, "training": training, **task.identity()})
    known = cache.find(key, paths)
    if known is not None:
        return Tokenised(known, digests, [])
    with _draft(cache) as (draft, notes):
        store = _on_disk(paths, training, task, draft)
        for path, was in zip(paths, before, strict=True):
            if identity(Path(path)) != was:
                raise DataError(
                    f"{path} was written to while it was read, so its rows belong to no one state "
                    "of it. Start again once it is complete."
                )
        if not notes and task.lasts:
            cache.publish(draft, key)
    return Tokenised(store, digests, notes)


def _in_memory(paths: Sequence[str], training: int, task: Tokenise) -> Store:
    files, texts = {name: BytesIO() for name in TABLES}, Texts()
    writer = Writer(files)
    _fill(writer.append, texts, paths, partial(map, task))
    tables = {name: file.getvalue() for name, file in files.items()}
    looks_R, rows_R = (np.frombuffer(tables[name], TABLES[name]) for name in ("looks", "rows"))
    tables["near"] = _near(looks_R, rows_R["file"], training, texts)
    return Store.in_memory(paths, tables, writer.summary)


def _on_disk(paths: Sequence[str], training: int, task: Tokenise, draft: Path) -> Store:
    texts = Texts()
    with _tables(draft) as files:
        writer = Writer(files)

        def append(file: int, portion: Portion) -> None:
            with _writing(draft):
                writer.append(file, portion)

        with applied(task, sum(map(size_of, paths))) as apply:
            _fill(append, texts, paths, apply)
    looks_R, file_R = mapped(draft, "looks"), mapped(draft, "rows")["file"]
    near = _near(looks_R, file_R, training, texts)
    with _writing(draft):
        with open(draft / "near", "wb") as file:
            file.write(near)
            file.flush()
            os.fsync(file.fileno())
        seal(draft, writer.summary)
    return Store.on_disk(paths, draft, writer.summary)


@contextmanager
def _tables(draft: Path) -> Iterator[dict[str, BinaryIO]]:
    """The files of the tables, open for writing; on disk when the block ends well."""
    with _writing(draft):
        files: dict[str, BinaryIO] = {
            name: open(draft / name, "wb")  # noqa: SIM115 (closed below)
            for name in TABLES
        }
    try:
        yield files
        with _writing(draft):
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
    finally:
        for file in files.values():
            with suppress(OSError):  # what could not be written is refused again when closed
                file.close()


@contextmanager
def _writing(draft: Path) -> Iterator[None]:
    """Turns the disk's refusal to take the tokens into what to do about it."""
    try:
        yield
    except (OSError, StorageError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise StorageError(
            f"The tokens of the data cannot be written to {draft.parent} ({reason}). They take "
            "about as many bytes as the data itself. Free some space, or name a folder on another "
            "disk with the environment variable TUNESMITH_CACHE."
        ) from error


def _fill(
    append: Callable[[int, Portion], None], texts: Texts, paths: Sequence[str], apply: Mapper
) -> None:
    """Lay the rows of the files end to end, and what is compared of them beside."""
    files: deque[int] = deque()  # of the blocks that are worked at

    def taken() -> Iterator[Block]:
        for file, path in enumerate(paths):
            for block in blocks(path):
                files.append(file)
                yield block

    for portion in apply(taken()):
        append(files.popleft(), portion)
        for text in portion.looks.compared:
            texts.append(text)


def _near(looks_R: np.ndarray, file_R: np.ndarray, training: int, texts: Texts) -> bytes:
    """The table of near duplicates; the files from number `training` on validate."""
    side_R = np.where(file_R < training, TRAIN, VALIDATION)
    return neighbours(looks_R, sides_of(looks_R, side_R), texts).tobytes()


@contextmanager
def _draft(cache: TokenCache) -> Iterator[tuple[Path, list[Finding]]]:
    """A folder to write in: in the cache, or, with a note, where temporary files go."""
    with ExitStack() as stack:
        try:
            draft, notes = stack.enter_context(cache.draft()), []
        except OSError as error:
            message = (
                f"The token cache {cache.folder} cannot be written ({error.strerror}), so the data "
                "will be tokenised again at the next start. Name a folder that can be with the "
                "environment variable TUNESMITH_CACHE."
            )
            notes = [Finding("no_cache", message, "warn")]
            draft = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tunesmith-")))
        yield draft, notes
