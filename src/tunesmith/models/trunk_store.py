"""Room for hidden states that are computed once and read many times: in memory, or in a file.

One matrix holds the states of all sequences, so that those of a batch are gathered by a single
`index_select`. A file is mapped into memory and has no name: the system takes it away when the run
ends, however it ends.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
import torch

Place = Literal["memory", "disk"]


class NoTrunk(Exception):
    """Why nothing is kept and the plain path is taken, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One sequence of a batch: `key` names its content, `places_N` its rows among the batch's."""

    key: bytes
    places_N: np.ndarray


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be kept, in bytes: in memory, else in a file in `folder`."""

    memory: int
    disk: int
    folder: Path


class TrunkStore:
    """Rows of hidden states by content: `states_RD` is where they lie, R rows at most."""

    def __init__(self, states_RD: torch.Tensor, place: Place) -> None:
        self.place = place
        self._states_RD = states_RD
        self._starts: dict[bytes, int] = {}
        self._used = 0

    @property
    def bytes(self) -> int:
        """The size of all rows."""
        return self._states_RD.numel() * self._states_RD.element_size()

    def missing(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The pieces whose states are not kept, each content once."""
        return list({p.key: p for p in pieces if p.key not in self._starts}.values())

    def has_room(self, pieces: Sequence[Piece]) -> bool:
        """Whether the states of all these could be kept, too."""
        return self._used + sum(len(p.places_N) for p in pieces) <= len(self._states_RD)

    def put(self, pieces: Sequence[Piece], states_RD: torch.Tensor) -> None:
        """Keep the states of pieces that were missing, out of those of their batch."""
        states_RD = states_RD.cpu()
        for piece in pieces:
            end = self._used + len(piece.places_N)
            rows = torch.from_numpy(piece.places_N)
            self._states_RD[self._used : end] = states_RD.index_select(0, rows)
            self._starts[piece.key] = self._used
            self._used = end

    def gather(self, pieces: Sequence[Piece], rows: int) -> torch.Tensor:
        """The states of a batch of `rows` rows, (rows, D), as far as its pieces name them.

        Where pieces overlap the last counts; a row of none, which nobody reads, gets some state.
        """
        sources = np.zeros(rows, dtype=np.int64)
        for piece in pieces:
            start = self._starts[piece.key]
            sources[piece.places_N] = np.arange(start, start + len(piece.places_N))
        return self._states_RD.index_select(0, torch.from_numpy(sources))

    def clear(self) -> None:
        """Forget everything."""
        self._starts.clear()
        self._used = 0


def make_store(rows: int, width: int, dtype: torch.dtype, budget: Budget) -> TrunkStore:
    """A store for `rows` states of `width` numbers. Raises NoTrunk where nothing has room.

    The whole file is claimed at once: a disk that fills up later cannot break the run.
    """
    needed = rows * width * dtype.itemsize
    if needed <= budget.memory:
        return TrunkStore(torch.empty(rows, width, dtype=dtype), "memory")
    if needed > budget.disk:
        raise NoTrunk(
            f"its states would take {needed / 1e6:,.0f} MB, and there is room for "
            f"{budget.memory / 1e6:,.0f} MB in memory or {budget.disk / 1e6:,.0f} MB on disk"
        )
    try:
        file = tempfile.TemporaryFile(dir=budget.folder)  # noqa: SIM115  # the mapping outlives it
        with file:
            _claim(file, needed)
            mapped = np.memmap(file, dtype=np.uint8, mode="r+", shape=(needed,))
    except OSError as error:
        raise NoTrunk(
            f"its states would take {needed / 1e6:,.0f} MB on the disk of {budget.folder}, "
            f"which could not be had ({error.strerror})"
        ) from error
    return TrunkStore(torch.from_numpy(mapped).view(dtype).view(rows, width), "disk")


def _claim(file: IO[bytes], size: int) -> None:
    """Make `file` take `size` bytes of the disk now. Raises OSError if it is full."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, block := 1 << 24):
        file.write(bytes(min(block, size - start)))
    file.flush()
