"""Some sequences of a store as a list of Tokens, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import overload

import numpy as np

from tunesmith.core.records import Tokens
from tunesmith.data.store import Store


class Sequences(Sequence[Tokens]):
    """A view of a store that holds no token itself.

    Facts about all of its sequences are arrays: asking for them reads no tokens.

    Args:
        store: open tables.
        numbers: which of its sequences, in order (int64).
    """

    def __init__(self, store: Store, numbers: np.ndarray) -> None:
        self._store = store
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Tokens: ...
    @overload
    def __getitem__(self, index: slice) -> Sequences: ...
    def __getitem__(self, index: int | slice) -> Tokens | Sequences:
        if isinstance(index, slice):
            return Sequences(self._store, self._numbers[index])
        return self._store.tokens(int(self._numbers[index]))

    def at(self, indices: np.ndarray) -> Sequences:
        """Those at some places, in their order."""
        return Sequences(self._store, self._numbers[indices])

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each sequence (int64)."""
        return self._store.sequences["length"][self._numbers].astype(np.int64)

    @cached_property
    def sites(self) -> np.ndarray:
        """Predicted tokens of each sequence (int64)."""
        return self._store.sequences["sites"][self._numbers].astype(np.int64)

    @cached_property
    def rows(self) -> np.ndarray:
        """The number of the input row of each sequence (int64, ascending)."""
        return self._store.sequences["row"][self._numbers]


class WithPlanted(Sequence[Tokens]):
    """The training sequences of the user's rows, and behind them rows that the run planted.

    Args:
        own: the sequences of a store.
        planted: rows that are in no file.
    """

    def __init__(self, own: Sequences, planted: Sequence[Tokens]) -> None:
        self._own = own
        self._planted = planted

    def __len__(self) -> int:
        return len(self._own) + len(self._planted)

    @overload
    def __getitem__(self, index: int) -> Tokens: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Tokens]: ...
    def __getitem__(self, index: int | slice) -> Tokens | Sequence[Tokens]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        own = len(self._own)
        return self._own[place] if place < own else self._planted[place - own]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each sequence (int64)."""
        return np.append(self._own.lengths, [len(each) for each in self._planted])

    @cached_property
    def sites(self) -> np.ndarray:
        """Predicted tokens of each sequence (int64)."""
        return np.append(self._own.sites, [each.sites for each in self._planted])
