"""Union-find over numbered things, in passes over whole arrays."""

from __future__ import annotations

import numpy as np


class Groups:
    """`count` things, each in a group of its own until pairs are joined."""

    def __init__(self, count: int) -> None:
        self._root = np.arange(count)

    @property
    def first(self) -> np.ndarray:
        """The lowest member of each thing's group (int64)."""
        return self._root

    def apart(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Which pairs stand in two groups (bool)."""
        return self._root[left] != self._root[right]

    def join(self, left: np.ndarray, right: np.ndarray) -> None:
        """Make one group of the groups of each pair.

        The higher root of each pair is hung below the lower one; where two pairs hang the same
        root, one of them is left for the next pass (Shiloach and Vishkin, 1982).
        """
        while len(left):
            roots = self._root[left], self._root[right]
            np.minimum.at(self._root, np.maximum(*roots), np.minimum(*roots))
            self._shorten()
            apart = self.apart(left, right)
            left, right = left[apart], right[apart]

    def _shorten(self) -> None:
        """Let each point to its root again."""
        while (higher := self._root[self._root]).tobytes() != self._root.tobytes():
            self._root = higher
