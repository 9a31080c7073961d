"""Packed files, unpacked as they are read, and never further than an honest one goes.

A few kilobytes can unpack to terabytes. What is unpacked is counted, and ends in an error beyond
`limits.RATIO` times the packed size; memory is a block and the dictionary of the packing, which is
bounded too.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, Protocol

from tunesmith.core.errors import DataError
from tunesmith.data.sources import limits

_DICTIONARY = 256 << 20
"""Bytes an xz decoder may take; the strongest preset needs 65 MB. zstd's own bound is 128 MB."""

_BUFFER = 1 << 16


class Readable(Protocol):
    """What unpacks: a stream of bytes that ends in an empty one."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Packing:
    """A way to pack one file: how it ends, how it begins, and what unpacks it."""

    name: str
    ending: str
    magic: bytes
    unpack: Callable[[BufferedReader], Readable]


class _Xz:
    """The streams of an xz file one after another, decoded in bounded memory."""

    def __init__(self, source: BufferedReader) -> None:
        self._source = source
        self._decoder = self._next()

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty at the end.

        Raises:
            EOFError: the file ends within a stream.
            lzma.LZMAError: it is damaged, or needs more memory than `_DICTIONARY`.
        """
        while True:
            if self._decoder.eof:
                # Between streams stand zeros, four at a time, or nothing.
                waiting = self._decoder.unused_data.lstrip(b"\0")
                while not waiting and (data := self._source.read(_BUFFER)):
                    waiting = data.lstrip(b"\0")
                if not waiting:
                    return b""
                self._decoder = self._next()
            else:
                waiting = self._source.read(_BUFFER) if self._decoder.needs_input else b""
                if self._decoder.needs_input and not waiting:
                    raise EOFError
            if data := self._decoder.decompress(waiting, size):
                return data

    @staticmethod
    def _next() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DICTIONARY)


def _gzip(source: BufferedReader) -> Readable:
    return gzip.GzipFile(fileobj=source)


def _xz(source: BufferedReader) -> Readable:
    return _Xz(source)


def _zstd(source: BufferedReader) -> Readable:
    import pyarrow  # takes a moment, which only those wait who have such files

    stream: Any = pyarrow.CompressedInputStream(pyarrow.PythonFile(source, mode="r"), "zstd")
    return stream


PACKINGS = (
    Packing("gzip", ".gz", b"\x1f\x8b", _gzip),
    Packing("xz", ".xz", b"\xfd7zXZ\x00", _xz),
    Packing("Zstandard", ".zst", b"\x28\xb5\x2f\xfd", _zstd),
)


def packing_of(path: str, file: BufferedReader) -> Packing | None:
    """How the content of a file is packed, told by its first bytes; it is left at its beginning.

    Raises:
        DataError: the name says that it is packed, and it is not.
    """
    head = file.peek(len(max(packing.magic for packing in PACKINGS)))
    for packing in PACKINGS:
        if head.startswith(packing.magic):
            return packing
    for packing in PACKINGS:
        if Path(path).suffix.lower() == packing.ending:
            raise DataError(
                f"{path} ends in {packing.ending}, but "
                + (f"is not packed with {packing.name}." if head else "is empty.")
                + " Fetch or pack it again, or take that ending off its name."
            )
    return None


@contextmanager
def unpacked(
    path: str, file: BufferedReader, packing: Packing, size: int
) -> Iterator[BufferedReader]:
    """The unpacked content of an open file of `size` bytes; see `_Bounded` for what reads raise."""
    with _said(path, packing):
        source = packing.unpack(file)
    raw: Any = _Bounded(path, source, packing, size)
    with BufferedReader(raw, _BUFFER) as stream:
        yield stream


class _Bounded(RawIOBase):
    """What a stream unpacks to, as long as it is not damaged and not out of proportion.

    Reading raises DataError where the packed file is cut off or damaged, or unpacks to more than
    `limits.FREE` bytes and `limits.RATIO` times its size.
    """

    def __init__(self, path: str, source: Readable, packing: Packing, size: int) -> None:
        self._path, self._source, self._packing = path, source, packing
        self._left = max(limits.FREE, limits.RATIO * size)
        self._most = self._left

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as RawIOBase asks; 0 at the end."""
        with _said(self._path, self._packing):
            data = self._source.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise DataError(
                f"{self._path} unpacks to more than {limits.told(self._most)}, {limits.RATIO} "
                "times its size and more, as files do that are made to fill a disk. If you trust "
                "it, unpack it and name what comes out."
            )
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def _said(path: str, packing: Packing) -> Iterator[None]:
    """Turns what unpacking raises into what to do about it."""
    try:
        yield
    except EOFError:
        raise DataError(
            f"{path} is cut off: its {packing.name} data ends before its end. Fetch it again."
        ) from None
    except (OSError, ValueError, MemoryError, zlib.error, lzma.LZMAError) as error:
        reason = str(error).split("\n", 1)[0].rstrip(".")
        raise DataError(
            f"{path} is damaged: its {packing.name} data cannot be unpacked ({reason}). Fetch it "
            "again."
        ) from None
