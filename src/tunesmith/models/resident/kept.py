"""Keys and values of rows that are read and written, in memory that follows their lengths.

A row that is read has tensors to itself, as long as its prompt. One that writes lies on a shelf:
rows of 64, 128, 256 … tokens' room have a shelf each, on which they lie without gaps, so that a
step looks back at all of a shelf in one product, and nothing is computed for a short row because
another is long. A row that has filled its room moves to the next shelf; the last of a shelf takes
the place of one that leaves.

Keys are float32 whatever the dtype, as scores are in training.

Shape legend: L layers, N rows, G key-value heads, C tokens that there is room for, d head size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from tunesmith.core.errors import Unsupported
from tunesmith.models.forward import PackedForward

_SHORTEST = 64
"""Room of the lowest shelf, in tokens."""

Sizes = tuple[int, int, int]
"""G, and d of keys and of values."""


@dataclass(frozen=True, slots=True)
class Form:
    """Which layers keep what: `places` gives each its stack (layers of one size) and its number in
    that, `stacks` the number of layers and their sizes."""

    places: dict[nn.Module, tuple[int, int]]
    stacks: tuple[tuple[int, Sizes], ...]
    dtype: torch.dtype
    device: torch.device

    @property
    def token_bytes(self) -> int:
        """Of a token that is kept."""
        wide = self.dtype.itemsize
        return sum(n * g * (4 * keys + wide * values) for n, (g, keys, values) in self.stacks)


def form_of(forward: PackedForward, device: torch.device) -> Form:
    """Found by running a few tokens. Raises Unsupported for a model that goes through a layer
    twice."""
    seen = _Seen()
    ids = torch.arange(4, device=device)
    forward.hidden(ids, ids, segment_branches=seen)
    stacks: dict[Sizes, int] = {}
    numbers = {size: place for place, size in enumerate(dict.fromkeys(seen.sizes.values()))}
    places = {}
    for layer, size in seen.sizes.items():
        stacks[size] = stacks.get(size, 0) + 1
        places[layer] = (numbers[size], stacks[size] - 1)
    kept = tuple((count, size) for size, count in stacks.items())
    return Form(places, kept, seen.dtype, device)


class _Seen:
    """Attends to nothing, once, to see what each layer would have it keep."""

    def __init__(self) -> None:
        self.sizes: dict[nn.Module, Sizes] = {}
        self.dtype = torch.float32

    def attend(
        self,
        layer: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        window: int | None = None,
        softcap: float | None = None,
    ) -> torch.Tensor:
        if layer in self.sizes:
            raise Unsupported(f"a layer ({type(layer).__name__}) is gone through twice")
        self.sizes[layer] = (key.shape[1], key.shape[3], value.shape[3])
        self.dtype = value.dtype
        return query.new_zeros(1, query.shape[2], query.shape[1], value.shape[3])


class Kept:
    """Keys (L, N, G, C, d) and values of some rows, a pair for each stack."""

    def __init__(self, stacks: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.stacks = stacks

    @classmethod
    def empty(cls, form: Form, rows: int, room: int) -> Kept:
        """Room for so many rows of so many tokens."""
        return cls(
            [
                (
                    torch.zeros(layers, rows, groups, room, key, device=form.device),
                    torch.zeros(
                        layers, rows, groups, room, value, device=form.device, dtype=form.dtype
                    ),
                )
                for layers, (groups, key, value) in form.stacks
            ]
        )

    @property
    def room(self) -> int:
        """C."""
        return int(self.stacks[0][0].shape[3])

    @property
    def bytes(self) -> int:
        """Of all of it."""
        return sum(tensor.nbytes for tensor in self._tensors())

    def part(self, start: int, end: int, row: int = 0) -> Kept:
        """A view of some tokens of one row."""
        rows = slice(row, row + 1)
        return Kept([(k[:, rows, :, start:end], v[:, rows, :, start:end]) for k, v in self.stacks])

    def copied(self) -> Kept:
        """In memory of its own; keys, which were made in the type of the values, in that again."""
        return Kept([(k.to(v.dtype, copy=True), v.clone()) for k, v in self.stacks])

    def set_part(self, start: int, other: Kept, row: int = 0) -> None:
        """Copy the tokens of `other`, which is one row, to where `start` is in `row`."""
        for mine, its in zip(self._tensors(), other._tensors(), strict=True):
            mine[:, row : row + 1, :, start : start + its.shape[3]] = its

    def more_rows(self, rows: int) -> Kept:
        """The same with room for so many more."""
        return Kept([(_longer(keys, rows), _longer(values, rows)) for keys, values in self.stacks])

    def _tensors(self) -> Iterator[torch.Tensor]:
        for stack in self.stacks:
            yield from stack


def _longer(tensor: torch.Tensor, rows: int) -> torch.Tensor:
    more = tensor.new_zeros(tensor.shape[0], rows, *tensor.shape[2:])
    return torch.cat([tensor, more], dim=1)


class Shelf:
    """Rows with room for `room` tokens each; `rows` are their numbers, in the order they lie in."""

    def __init__(self, form: Form, room: int) -> None:
        self.room = room
        self.rows: list[int] = []
        self.kept = Kept.empty(form, 1, room)
        self._spaces = 1

    def put(self, row: int, kept: Kept) -> None:
        """Lay a row on the shelf, with what is kept of it so far."""
        if len(self.rows) == self._spaces:
            self.kept = self.kept.more_rows(self._spaces)
            self._spaces *= 2
        self.kept.set_part(0, kept, len(self.rows))
        self.rows.append(row)

    def take(self, row: int) -> None:
        """Take a row off the shelf; the last one goes where it lay."""
        place = self.rows.index(row)
        last = self.rows.pop()
        if last != row:
            self.kept.set_part(0, self.kept.part(0, self.room, len(self.rows)), place)
            self.rows[place] = last


class Shelves:
    """All rows that write."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._shelves: dict[int, Shelf] = {}
        self._of: dict[int, Shelf] = {}

    @property
    def used(self) -> list[Shelf]:
        """Those with rows on them."""
        return [shelf for shelf in self._shelves.values() if shelf.rows]

    @property
    def bytes(self) -> int:
        """That rows take."""
        return sum(shelf.kept.bytes for shelf in self._shelves.values())

    def put(self, row: int, kept: Kept, tokens: int) -> None:
        """Take in a row of which so many tokens are kept."""
        room = _SHORTEST
        while room <= tokens:
            room *= 2
        shelf = self._shelves.setdefault(room, Shelf(self._form, room))
        shelf.put(row, kept.part(0, tokens))
        self._of[row] = shelf

    def of(self, row: int) -> Kept:
        """A view of what is kept of a row, and of the room behind it."""
        shelf = self._of[row]
        return shelf.kept.part(0, shelf.room, shelf.rows.index(row))

    def left(self, row: int, tokens: int) -> int:
        """How many tokens more have room, where so many are kept."""
        return self._of[row].room - tokens

    def move_full(self, row: int, tokens: int) -> None:
        """Move a row to the next shelf if it has filled its own."""
        shelf = self._of[row]
        if tokens == shelf.room:
            self.put(row, self.of(row), tokens)
            self._clear(shelf, row)

    def take(self, row: int) -> None:
        """Forget a row."""
        self._clear(self._of.pop(row), row)

    def _clear(self, shelf: Shelf, row: int) -> None:
        shelf.take(row)
        if not shelf.rows:
            del self._shelves[shelf.room]
