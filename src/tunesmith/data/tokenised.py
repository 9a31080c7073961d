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
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from tunesmith.core.errors import DataError, StorageError
from tunesmith.core.files import sha256
from tunesmith.core.records import Finding
from tunesmith.data.cache import TokenCache, key_of, seal
from tunesmith.data.digests import cache_folder, digest, identity
from tunesmith.data.portions import Tokenise
from tunesmith.data.sources import Block, blocks, described, size_of
from tunesmith.data.store import TABLES, Portion, Store, Writer
from tunesmith.data.workers import Workers

LARGE = 8 << 20
"""Bytes of data from which tokens are cached, and made by several processes. Starting those takes
as long as tokenising a few megabytes."""

_MOST_PROCESSES = 8
"""Each holds about 100 MB, so that all of a run stays below 1.5 GB before the model is opened."""


@dataclass(frozen=True, slots=True)
class Tokenised:
    """A store, the SHA-256 of each file that it was made from, and what the user should know."""

    store: Store
    digests: dict[str, str]
    notes: list[Finding]


def tokenised(paths: Sequence[str], task: Tokenise) -> Tokenised:
    """The rows of the files, tokenised.

    Raises:
        DataError: a file cannot be read, is no data, or was written to meanwhile.
        StorageError: the data is large, and the disk cannot hold its tokens.
    """
    if sum(map(size_of, paths)) < LARGE:
        store = _in_memory(paths, task)
        return Tokenised(store, {path: sha256(Path(path)) for path in paths}, [])
    before = [identity(Path(path)) for path in paths]
    digests = {path: digest(Path(path)) for path in paths}
    cache = TokenCache(cache_folder() / "tokens")
    files = [(digests[path], described(path).name) for path in paths]
    key = key_of({"files": files, **task.identity()})
    known = cache.find(key, paths)
    if known is not None:
        return Tokenised(known, digests, [])
    with _draft(cache) as (draft, notes):
        store = _on_disk(paths, task, draft)
        for path, was in zip(paths, before, strict=True):
            if identity(Path(path)) != was:
                raise DataError(
                    f"{path} was written to while it was read, so its rows belong to no one state "
                    "of it. Start again once it is complete."
                )
        if not notes:
            cache.publish(draft, key)
    return Tokenised(store, digests, notes)


def _in_memory(paths: Sequence[str], task: Tokenise) -> Store:
    files = {name: BytesIO() for name in TABLES}
    writer = Writer(files)
    _fill(writer.append, paths, nullcontext(partial(map, task)))
    return Store.in_memory(paths, {n: f.getvalue() for n, f in files.items()}, writer.summary)


def _on_disk(paths: Sequence[str], task: Tokenise, draft: Path) -> Store:
    with _tables(draft) as files:
        writer = Writer(files)

        def append(file: int, portion: Portion) -> None:
            with _writing(draft):
                writer.append(file, portion)

        _fill(append, paths, _mapper(task, paths))
    with _writing(draft):
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


Mapper = Callable[[Iterable[Block]], Iterator[Portion]]


def _fill(
    append: Callable[[int, Portion], None],
    paths: Sequence[str],
    mapper: AbstractContextManager[Mapper],
) -> None:
    files: deque[int] = deque()  # of the blocks that are worked at

    def taken() -> Iterator[Block]:
        for file, path in enumerate(paths):
            for block in blocks(path):
                files.append(file)
                yield block

    with mapper as apply:
        for portion in apply(taken()):
            append(files.popleft(), portion)


@contextmanager
def _mapper(task: Tokenise, paths: Sequence[str]) -> Iterator[Mapper]:
    """Applies the task to blocks, in order: with a process for each core that may be used."""
    useful = sum(map(size_of, paths)) // (LARGE // 4)
    count = min(_cores(), useful, _MOST_PROCESSES)
    if count == 1:
        yield partial(map, task)
        return
    with Workers(task, count) as workers:
        yield workers.map


def _cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
