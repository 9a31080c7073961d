"""What was computed for the beginnings of prompts, kept for the next prompt that begins so.

A beginning is a chain of blocks of 32 tokens. Each block is known by the one before it and its own
ids, and a chain begins at its reader. Where bytes run out, the block used least recently goes;
since a chain is marked as used from its end to its beginning, that is always a last one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunesmith.models.resident.kept import Kept

BLOCK = 32
"""Tokens of a block."""

Reader = tuple[str | None, str]
"""An adapter, None for the base, whose weights are in every key and value; and whose prompt it is:
nobody is to learn, by the time that an answer takes, what others have asked."""

Beginning = tuple[object, tuple[int, ...]]
"""What stands before a block (a block's number, or the reader), and the block's ids."""


@dataclass(frozen=True, slots=True)
class _Block:
    number: int
    kept: Kept


class Prefixes:
    """Blocks of all readers, `most` bytes of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._blocks: OrderedDict[Beginning, _Block] = OrderedDict()
        self._made = 0
        self.bytes = 0

    def find(self, reader: Reader, ids: Sequence[int]) -> list[Kept]:
        """The blocks that `ids` begin with, but for its last token, which is always computed."""
        found = list(self._chain(reader, ids[:-1]))
        for key, _ in reversed(found):
            self._blocks.move_to_end(key)
        return [block.kept for _, block in found]

    def unknown(self, reader: Reader, ids: Sequence[int]) -> Beginning | None:
        """The first block of a prompt, if it will be kept once it has been read and is not yet."""
        key = reader, tuple(ids[:BLOCK])
        return None if not self._most or len(ids) <= BLOCK or key in self._blocks else key

    def add(self, reader: Reader, ids: Sequence[int], kept: Kept) -> None:
        """Keep the whole blocks of a row of these ids that are not kept yet."""
        found = list(self._chain(reader, ids))
        before: object = found[-1][1].number if found else reader
        keys = [key for key, _ in found]
        for start in range(len(found) * BLOCK, len(ids) - BLOCK + 1, BLOCK):
            key = (before, tuple(ids[start : start + BLOCK]))
            self._made += 1
            block = _Block(self._made, kept.part(start, start + BLOCK).copied())
            self._blocks[key] = block
            self.bytes += block.kept.bytes
            keys.append(key)
            before = block.number
        for key in reversed(keys):
            self._blocks.move_to_end(key)
        while self.bytes > self._most:
            _, oldest = self._blocks.popitem(last=False)
            self.bytes -= oldest.kept.bytes

    def _chain(self, reader: Reader, ids: Sequence[int]) -> Iterator[tuple[Beginning, _Block]]:
        before: object = reader
        for start in range(0, len(ids) - BLOCK + 1, BLOCK):
            key = (before, tuple(ids[start : start + BLOCK]))
            if (block := self._blocks.get(key)) is None:
                return
            yield key, block
            before = block.number
