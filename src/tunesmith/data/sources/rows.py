"""What every form of file gives: rows with their places, a block at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import Protocol

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Row
from tunesmith.data.sources import limits

MARK = "\ufeff".encode()
"""The byte order mark that some programs put before UTF-8."""

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Placed:
    """A row, and the bytes of its unpacked file in which it stands (0 and 0 in Parquet)."""

    row: Row
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row that was read once is read again; `start` and `size` as in `Placed`."""

    origin: Origin
    start: int
    size: int


class Block(Protocol):
    """Some rows of one file, in order. Travels between processes as a pickle."""

    def rows(self) -> Iterator[Placed]:
        """The rows. Raises DataError for something that is none."""
        ...


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Rows that were made where the file was read."""

    placed: tuple[Placed, ...]

    def rows(self) -> Iterator[Placed]:
        """The rows."""
        return iter(self.placed)


def in_blocks(placed: Iterable[Placed]) -> Iterator[RowBlock]:
    """Rows laid into blocks, each of at most `limits.ITEMS` rows and about `limits.BLOCK` bytes."""
    block: list[Placed] = []
    size = 0
    for each in placed:
        block.append(each)
        size += each.size
        if len(block) >= limits.ITEMS or size >= limits.BLOCK:
            yield RowBlock(tuple(block))
            block, size = [], 0
    if block:
        yield RowBlock(tuple(block))


def pieces(stream: BufferedReader, places: Iterable[Place], at: int = 0) -> Iterator[bytes]:
    """The bytes of each place, in one pass: places ascend, and the stream stands at byte `at`."""
    for place in places:
        _skip(stream, place.start - at)
        yield stream.read(place.size)
        at = place.start + place.size


def _skip(stream: BufferedReader, count: int) -> None:
    if stream.seekable():
        stream.seek(count, 1)
        return
    while count > 0 and (data := stream.read(min(count, limits.BLOCK))):
        count -= len(data)


def decode(path: str, data: bytes, line: int, start: int) -> str:
    """The text of `data`, which stands in the file from `line` and byte `start` on.

    Raises:
        DataError: it is not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line += data.count(b"\n", 0, error.start)
        raise DataError(
            f"{path}:{line}: the file is not UTF-8: byte {data[error.start]:#04x} at offset "
            f"{start + error.start} cannot be decoded. Save the file as UTF-8."
        ) from None


def decode_text(path: str, data: bytes, line: int, start: int) -> str:
    """As `decode`, for forms that hold text as it is.

    Raises:
        DataError: it is not UTF-8, or holds a NUL, which no text does.
    """
    return no_nul(path, decode(path, data, line, start), line)


def no_nul(path: str, text: str, line: int) -> str:
    """The text, which begins on line `line`. Raises DataError if it holds a NUL."""
    if (at := text.find("\0")) >= 0:
        raise DataError(
            f"{path}:{line + text.count(chr(10), 0, at)}: the file holds a NUL byte, so it is no "
            "text, or is UTF-16. Save it as UTF-8, or leave it out."
        )
    return text


def too_long(path: str, line: int, what: str) -> DataError:
    """The error about a row that is longer than any row is."""
    return DataError(
        f"{path}:{line}: {what} that starts here is longer than {limits.told(limits.ROW)}, which "
        "no row is. Check that its line ends and closing quotes are there, or split the file."
    )


def changed(origin: Origin) -> str:
    """The sentence about a row that is no longer what it was when its file was first read."""
    return (
        f"{origin}: the row is no longer what it was when the run read it, so the file was changed "
        "meanwhile. Put it back, or start again with the file as it is now."
    )


def start_of(text: str) -> str:
    """The beginning of a text, fit for a sentence."""
    text = text.strip()
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return shown.encode("utf-8", "backslashreplace").decode()
