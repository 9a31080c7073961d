"""Many LoRA adapters on one base: its product for all tokens, and each adapter's for its own.

    y_t = W x_t + (x_t A_a) B_a        where a is the adapter of token t; B holds the scale

Adapters of like rank lie stacked in a pool. Tokens are ordered by adapter. An adapter with many of
them is multiplied by itself, those with few as one batched product over a grid (adapter, place). An
adapter more costs its own weights and nothing else. What it makes is added where a layer hands its
output on, by PyTorch's forward hooks, so the model and its code stay as they are.

Shape legend: T tokens, I inputs, O outputs, r rank, N adapters of a pool, m places of each.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import nn

from tunesmith.models.resident.lora import Lora

_MANY = 16
"""Tokens of one adapter from which on a product of its own takes no longer than its share of a
grid."""

_FEW = 3
"""So few adapters are multiplied one by one, however few their tokens are."""

_GROWTH = 4
"""Adapters by which a pool grows."""

Products = Callable[[str, torch.Tensor, torch.Tensor], None]


class Pool:
    """Adapters of one rank: for each layer A (N, I, r) and B (N, r, O), zero where one has none."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.down: dict[str, torch.Tensor] = {}
        self.up: dict[str, torch.Tensor] = {}
        self._size = 0
        self._free: list[int] = []

    def put(self, lora: Lora) -> int:
        """Where it stands from now on."""
        if not self._free:
            self._grow()
        slot = self._free.pop(0)
        for place, (down, up) in lora.parts.items():
            if place not in self.down:
                self.down[place] = down.new_zeros(self._size, len(down), self.rank)
                self.up[place] = up.new_zeros(self._size, self.rank, up.shape[1])
            self.down[place][slot, :, : down.shape[1]] = down
            self.up[place][slot, : len(up)] = up
        return slot

    def take(self, slot: int) -> None:
        """Forget the one that stands there."""
        for tensor in (*self.down.values(), *self.up.values()):
            tensor[slot] = 0
        self._free.append(slot)
        self._free.sort()

    def _grow(self) -> None:
        for tensors in (self.down, self.up):
            for place, old in tensors.items():
                tensors[place] = torch.cat([old, old.new_zeros(_GROWTH, *old.shape[1:])])
        self._free = list(range(self._size, self._size + _GROWTH))
        self._size += _GROWTH

    @property
    def bytes(self) -> int:
        """Of all that is stacked here."""
        return sum(t.nbytes for t in (*self.down.values(), *self.up.values()))


@dataclass(frozen=True, slots=True)
class Own:
    """The tokens `start` to `end` with one adapter."""

    pool: Pool
    slot: int
    start: int
    end: int

    def __call__(self, place: str, x_TI: torch.Tensor, y_TO: torch.Tensor) -> None:
        """Add what the adapter makes of them."""
        if (down := self.pool.down.get(place)) is None:
            return
        low = x_TI[self.start : self.end] @ down[self.slot]
        y_TO[self.start : self.end].addmm_(low, self.pool.up[place][self.slot])


@dataclass(frozen=True, slots=True)
class Grid:
    """The tokens `start` to `end` with the adapters `first` to `last` of a pool.

    `cells_Nm` is the token that stands in each place of the grid (any, where none does), and
    `back_T` the place of each token.
    """

    pool: Pool
    first: int
    last: int
    start: int
    end: int
    cells_Nm: torch.Tensor
    back_T: torch.Tensor

    def __call__(self, place: str, x_TI: torch.Tensor, y_TO: torch.Tensor) -> None:
        """Add what the adapters make of them."""
        if (down := self.pool.down.get(place)) is None:
            return
        spread = x_TI.index_select(0, self.cells_Nm)
        spread = spread.view(self.last - self.first, -1, x_TI.shape[1])
        low = torch.bmm(spread, down[self.first : self.last])
        made = torch.bmm(low, self.pool.up[place][self.first : self.last]).flatten(0, 1)
        y_TO[self.start : self.end] += made.index_select(0, self.back_T)


@dataclass(slots=True)
class _Seated:
    pool: Pool
    slot: int
    users: int = 0


class Bank:
    """The adapters that are in memory, `most` of them; the one used least recently goes first."""

    def __init__(self, model: nn.Module, most: int) -> None:
        self._model = model
        self._most = most
        self._pools: dict[int, Pool] = {}
        self._seated: OrderedDict[str, _Seated] = OrderedDict()
        self._hooked: set[str] = set()
        self._products: Sequence[Products] = ()

    def __contains__(self, name: str) -> bool:
        return name in self._seated

    def __len__(self) -> int:
        return len(self._seated)

    @property
    def bytes(self) -> int:
        """That the adapters take."""
        return sum(pool.bytes for pool in self._pools.values())

    @property
    def idle(self) -> int:
        """How many more could be put in, those that no row uses making room."""
        return self._most - sum(seat.users > 0 for seat in self._seated.values())

    def put(self, name: str, lora: Lora) -> bool:
        """Take an adapter in; False where rows use all that are in, so that there is no room."""
        while len(self._seated) >= self._most:
            idle = next((each for each, seat in self._seated.items() if not seat.users), None)
            if idle is None:
                return False
            self.drop(idle)
        rank = 1 << (lora.rank - 1).bit_length()
        pool = self._pools.setdefault(rank, Pool(rank))
        self._seated[name] = _Seated(pool, pool.put(lora))
        for place in lora.parts.keys() - self._hooked:
            layer = self._model.get_submodule(place)
            layer.register_forward_hook(partial(self._add, place))
            self._hooked.add(place)
        return True

    def drop(self, name: str) -> None:
        """Forget an adapter that no row uses."""
        seat = self._seated.pop(name)
        seat.pool.take(seat.slot)

    def use(self, name: str) -> None:
        """A row begins with it: it stays until the row is through."""
        self._seated.move_to_end(name)
        self._seated[name].users += 1

    def release(self, name: str) -> None:
        """A row is through."""
        self._seated[name].users -= 1

    def order(self, names: Sequence[str | None], tokens: Sequence[int]) -> list[int]:
        """How rows of so many tokens are to be laid: by adapter, those with many tokens first, and
        rows without an adapter last."""
        totals: Counter[str | None] = Counter()
        for name, count in zip(names, tokens, strict=True):
            totals[name] += count

        def rank(row: int) -> tuple[int, int, int]:
            name = names[row]
            if name is None:
                return 2, 0, 0
            seat = self._seated[name]
            return int(totals[name] < _MANY), seat.pool.rank, seat.slot

        return sorted(range(len(names)), key=rank)

    def lay(self, names: Sequence[str | None], tokens: Sequence[int]) -> list[Products]:
        """What to add for rows of so many tokens, laid end to end in the order of `order`."""
        products: list[Products] = []
        narrow: list[tuple[_Seated, int, int]] = []
        start = 0
        for name, group in groupby(zip(names, tokens, strict=True), key=lambda row: row[0]):
            end = start + sum(count for _, count in group)
            if name is not None:
                seat = self._seated[name]
                if end - start < _MANY:
                    narrow.append((seat, start, end))
                else:
                    products.append(Own(seat.pool, seat.slot, start, end))
            start = end
        for _, seats in groupby(narrow, key=lambda each: each[0].pool.rank):
            products += _few_tokens(list(seats), self._device)
        return products

    def activate(self, products: Sequence[Products]) -> None:
        """Add these from now on, until others are given."""
        self._products = products

    @property
    def _device(self) -> torch.device:
        return next(self._model.parameters()).device

    def _add(
        self, place: str, layer: nn.Module, given: tuple[Any, ...], made: torch.Tensor
    ) -> None:
        if not self._products:
            return
        x_TI, y_TO = given[0].flatten(0, -2), made.view(-1, made.shape[-1])
        for add in self._products:
            add(place, x_TI, y_TO)


def _few_tokens(seats: list[tuple[_Seated, int, int]], device: torch.device) -> list[Products]:
    """One grid for those of a pool, or one by one where they are few. They lie side by side."""
    pool = seats[0][0].pool
    if len(seats) <= _FEW:
        return [Own(pool, seat.slot, start, end) for seat, start, end in seats]
    first, last = seats[0][0].slot, seats[-1][0].slot + 1
    start, places = seats[0][1], max(end - start for _, start, end in seats)
    cells = [start] * ((last - first) * places)
    back: list[int] = []
    for seat, begin, end in seats:
        cell = (seat.slot - first) * places
        cells[cell : cell + end - begin] = range(begin, end)
        back += range(cell, cell + end - begin)
    tensors = (torch.tensor(each, device=device) for each in (cells, back))
    return [Grid(pool, first, last, start, seats[-1][2], *tensors)]
