"""The texts that are compared, kept on disk, without what stands in many of them.

What is compared of a row is its `plain` text, so case and punctuation never count, the first
`COMPARED` bytes of it, and no sentence that stands in many rows: an instruction that all rows begin
with says nothing about any of them.
"""

from __future__ import annotations

import mmap
import tempfile
import weakref
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np

from tunesmith.core.files import storage_errors
from tunesmith.data.quality.minhash import HASHES, signatures
from tunesmith.data.quality.view import PART

COMPARED = 1 << 16
COMMON, FEW = 0.05, 20
"""A sentence is not compared when it stands in more than this share of the rows, and in more rows
than FEW."""
_PART = PART.encode()
_SLOTS = 1 << 20
_WAITING = 1000
_CHUNK = 1 << 18


class Texts:
    """Plain texts by sentences, in a file without a name: memory holds none of them."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.gettempdir())
        with storage_errors(self._folder):
            self._file = tempfile.TemporaryFile(prefix="tunesmith-check-")  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._ends = array("q", [0])
        self._waiting: list[bytes] = []
        self._rows_with = array("q", bytes(8 * _SLOTS))

    def append(self, data: bytes) -> None:
        """Take one more: its sentences, a line each."""
        for sentence in set(data.split(b"\n")):
            self._rows_with[crc32(sentence) % _SLOTS] += 1
        self._waiting.append(data)
        self._ends.append(self._ends[-1] + len(data))
        if len(self._waiting) == _WAITING:
            self._settle()

    def read(self) -> Read:
        """All of them, to be read; none can be added after."""
        self._settle()
        with storage_errors(self._folder):
            self._file.flush()
        ends = np.array(self._ends)
        rows_with = np.frombuffer(self._rows_with, np.int64)
        common = np.flatnonzero(rows_with > max(FEW, COMMON * (len(ends) - 1)))
        size = int(ends[-1])
        data = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
        self._file.close()  # the map stays
        return Read(data, ends, frozenset(common.tolist()))

    def _settle(self) -> None:
        with storage_errors(self._folder):
            self._file.write(b"".join(self._waiting))
        self._waiting.clear()


class Read:
    """Texts behind one another in `data`, with what is compared of them.

    Attributes:
        sizes: bytes that are compared (int64, R).
        signatures_RH: of these (uint8).
    """

    def __init__(self, data: mmap.mmap | bytes, ends: np.ndarray, common: frozenset[int]) -> None:
        self._data = data
        self._ends = ends
        self._common = common
        rows = np.arange(len(ends) - 1)
        self.sizes = np.diff(ends)
        self.signatures_RH = np.empty((len(rows), HASHES), dtype=np.uint8)
        for part in parts(np.diff(ends), _CHUNK):
            texts = self.of(rows[part])
            self.sizes[part] = [len(text) for text in texts]
            self.signatures_RH[part] = signatures(texts)

    def of(self, rows: np.ndarray) -> list[bytes]:
        """What is compared of these texts."""
        starts, ends = self._ends[rows].tolist(), self._ends[rows + 1].tolist()
        texts = [self._data[start:end] for start, end in zip(starts, ends, strict=True)]
        if self._common:
            texts = [self._without_common(text) for text in texts]
        return [text.replace(b"\n", b" ") for text in texts]

    def _without_common(self, text: bytes) -> bytes:
        """The sentences that few rows have, and those that begin a part: "yes" answers many rows,
        and sets them apart from those that "no" answers. All of them if there is none."""
        sentences = text.split(b"\n")
        rare = [
            each
            for each in sentences
            if each.startswith(_PART) or crc32(each) % _SLOTS not in self._common
        ]
        return b"\n".join(rare) or text


def parts(sizes: np.ndarray, most: int) -> Iterator[slice]:
    """Slices of things of these sizes, each of about `most` in all; nothing counts less than 8."""
    load = np.cumsum(np.maximum(sizes, 8))
    total = int(load[-1]) if len(load) else 0
    borders = np.unique(np.searchsorted(load, np.arange(0, total, most)))
    for start, end in pairwise([*borders.tolist(), len(sizes)]):
        yield slice(start, end)
