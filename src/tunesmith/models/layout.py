"""Who attends to whom in a packed batch: the tree of its segments.

Segments lie depth first, so a token at place k of the batch is seen by the token at place q if
k ≤ q (its own segment up to itself, and its ancestors, which come earlier) and q lies before the
end of the subtree of k's segment (its own and its descendants, not its siblings). A sliding window
counts along the path: positions, not places.

An encoder looks both ways: each token sees all of its own segment, and segments have no parents.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from tunesmith.core.batch import ROOT, Segment
from tunesmith.core.errors import Unsupported
from tunesmith.models.segment_attention import Block, blocks_of


class Layout:
    """The segments of a batch. Passed to a model's forward as `segment_layout`.

    What is made from them is kept: every layer of a model asks for the same.
    """

    def __init__(self, segments: tuple[Segment, ...], causal: bool = True) -> None:
        """Raises ValueError for segments that are not laid end to end, depth first, and for parents
        where attention is not `causal`."""
        if not causal and any(segment.parent != ROOT for segment in segments):
            raise ValueError("Segments that are seen both ways cannot share a prefix.")
        self.segments = segments
        self.causal = causal
        self._ends = _subtree_ends(segments)
        self._begins = _path_begins(segments)
        self._kept: dict[tuple[Any, ...], Any] = {}

    @property
    def trees(self) -> list[slice]:
        """The tokens of each root and its descendants."""
        ends = zip(self.segments, self._ends, strict=True)
        return [slice(segment.start, end) for segment, end in ends if segment.parent == ROOT]

    def effective(self, window: int | None) -> int | None:
        """`window`, or None where every path is short enough to be seen whole.

        Raises Unsupported for a window that looks both ways.
        """
        if window is None or int(self._positions.max()) < window:
            return None
        if not self.causal:
            raise Unsupported("its attention looks a limited distance both ways")
        return window

    def visible(self, tree: slice, window: int | None, device: torch.device) -> torch.Tensor:
        """Which of a tree's tokens each of them attends to, shape (queries, keys), bool."""
        name = ("visible", tree.start, tree.stop, window, device)
        if name not in self._kept:
            places = torch.arange(tree.start, tree.stop, device=device)
            self._kept[name] = self._rule(window, device)(None, None, places[:, None], places)
        mask: torch.Tensor = self._kept[name]
        return mask

    def blocks(self, heads: int) -> list[Block]:
        """The segments cut for the kernel of the processor."""
        if ("blocks", heads) not in self._kept:
            self._kept["blocks", heads] = blocks_of(self.segments, heads, self.causal)
        blocks: list[Block] = self._kept["blocks", heads]
        return blocks

    def block_mask(self, window: int | None, device: torch.device) -> BlockMask:
        """The same visibility for flex attention."""
        name = ("mask", window, device)
        if name not in self._kept:
            total = self.segments[-1].end
            rule = self._rule(window, device)
            self._kept[name] = create_block_mask(rule, None, None, total, total, device)
        mask: BlockMask = self._kept[name]
        return mask

    def _rule(self, window: int | None, device: torch.device) -> Any:
        """The head of this file as a mask function of flex attention: batch, head, q, k."""
        lengths = torch.tensor([s.end - s.start for s in self.segments])
        ends = torch.tensor(self._ends).repeat_interleave(lengths).to(device)
        positions = self._positions.to(device)

        def sees_all(batch: Any, head: Any, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            return ends[q] == ends[k]

        if not self.causal:
            return sees_all

        def sees(batch: Any, head: Any, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            return (k <= q) & (q < ends[k])

        if window is None:
            return sees
        width = window

        def sees_near(batch: Any, head: Any, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
            return sees(batch, head, q, k) & (positions[q] - positions[k] < width)

        return sees_near

    @cached_property
    def _positions(self) -> torch.Tensor:
        """For each token, its position in its path."""
        return torch.cat(
            [
                torch.arange(begin, begin + segment.end - segment.start)
                for begin, segment in zip(self._begins, self.segments, strict=True)
            ]
        )


def _subtree_ends(segments: tuple[Segment, ...]) -> list[int]:
    """Where the descendants of each segment end. Raises ValueError if they are not in one piece."""
    path: list[int] = []
    for place, segment in enumerate(segments):
        while path and path[-1] != segment.parent:
            path.pop()
        before = segments[place - 1].end if place else 0
        if segment.start != before or (segment.parent != ROOT and not path):
            raise ValueError(
                f"Segment {place} of the batch ({segment}) does not follow the one before it depth "
                "first: segments lie end to end, and the descendants of each directly behind it."
            )
        path.append(place)
    ends = [segment.end for segment in segments]
    for place, segment in reversed(list(enumerate(segments))):
        if segment.parent != ROOT:
            ends[segment.parent] = max(ends[segment.parent], ends[place])
    return ends


def _path_begins(segments: tuple[Segment, ...]) -> list[int]:
    """The position of each segment's first token in its path."""
    begins: list[int] = []
    for segment in segments:
        if segment.parent == ROOT:
            begins.append(0)
        else:
            parent = segments[segment.parent]
            begins.append(begins[segment.parent] + parent.end - parent.start)
    return begins
