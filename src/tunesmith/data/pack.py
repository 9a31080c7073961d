"""Lays tokenised examples end to end into one Batch: no padding, each shared prefix once.

The examples of a micro-batch form a radix tree over their token ids (Morrison 1968, PATRICIA). A
node is a segment, its parent is the segment before it on the path, and an example is the path from
a root to the node where it ends. Prefix tokens stand in the batch once however many examples go
through them, and every example keeps its own sites, so loss and gradients are those of the examples
laid out one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tunesmith.core.batch import ROOT, Batch, Segment
from tunesmith.core.records import Tokens

MIN_SHARED = 16
"""Shared runs shorter than this many tokens are laid down again: a segment of its own costs more
in calls and merges of attention than so few tokens in matrix products."""


@dataclass(slots=True, eq=False)
class _Node:
    """Tokens `begin` to `end` of every path through it; `owner` is the first example of them."""

    begin: int
    end: int
    owner: int
    parent: _Node | None
    children: list[_Node] = field(default_factory=list)

    def split(self, at: int) -> _Node:
        """A new node above this one takes over the tokens before position `at`."""
        upper = _Node(self.begin, at, self.owner, self.parent, [self])
        if self.parent is not None:
            siblings = self.parent.children
            siblings[siblings.index(self)] = upper
        self.begin, self.parent = at, upper
        return upper


class _Tree:
    """A radix tree, grown by examples that come in the order of their token ids.

    In that order an example shares with no earlier one more than with the one just before it.
    `ends` holds the node in which each example ends, by its number.
    """

    def __init__(self) -> None:
        self.ends: dict[int, _Node] = {}
        self._path: list[_Node] = []  # of the example added last, its root first
        self._last = np.empty(0, dtype=np.int32)

    def shared(self, ids_N: np.ndarray) -> int:
        """How many first tokens of `ids_N` the tree already holds in a form worth sharing."""
        common = common_prefix(self._last, ids_N)
        for node in self._path:
            if common < node.end:
                return common if common - node.begin >= MIN_SHARED else node.begin
        return common

    def add(self, number: int, ids_N: np.ndarray) -> None:
        """Lay down example `number`; what it shares is laid down already."""
        shared = self.shared(ids_N)
        while self._path and self._path[-1].begin >= shared:
            self._path.pop()
        if self._path and self._path[-1].end > shared:
            self._path[-1] = self._path[-1].split(shared)
        if len(ids_N) > shared:
            above = self._path[-1] if self._path else None
            leaf = _Node(shared, len(ids_N), number, above)
            if above is not None:
                above.children.append(leaf)
            self._path.append(leaf)
        for node in self._path:
            node.owner = min(node.owner, number)
        self.ends[number], self._last = self._path[-1], ids_N


class Laid(NamedTuple):
    """Examples end to end: the first three fields of a Batch, and where in it each token of each
    example stands."""

    tokens_T: np.ndarray
    positions_T: np.ndarray
    segments: tuple[Segment, ...]
    places: list[np.ndarray]


def lay_down(examples: Sequence[Tokens], share: bool = True) -> Laid:
    """The examples as segments; with `share` each shared prefix once, else in their order."""
    ends = _ends(examples, share)
    nodes = _depth_first(ends)
    starts = np.concatenate(([0], np.cumsum([node.end - node.begin for node in nodes])))
    places = {id(node): place for place, node in enumerate(nodes)}
    pieces = [examples[node.owner].ids_N[node.begin : node.end] for node in nodes]
    return Laid(
        np.concatenate(pieces).astype(np.int64),
        np.concatenate([np.arange(node.begin, node.end) for node in nodes]),
        tuple(
            Segment(int(start), int(end), places[id(node.parent)] if node.parent else ROOT)
            for node, start, end in zip(nodes, starts, starts[1:], strict=False)
        ),
        [_index_in_batch(ends[number], places, starts) for number in range(len(examples))],
    )


def pack(examples: Sequence[Tokens], share: bool = True) -> Batch:
    """The examples as segments, and a site wherever the next token has a weight above zero.

    The site of a learned token is the position before it, so the first token of an example is
    never predicted. Sites stand in the order of the examples: targets, weights and owners do not
    depend on `share`, which lays each shared prefix down once. Examples that share nothing are one
    root segment each, in order.
    """
    laid = lay_down(examples, share)
    sites, targets, weights, owners = [], [], [], []
    for owner, example in enumerate(examples):
        learned = np.flatnonzero(example.weights_N[1:] > 0)
        sites.append(laid.places[owner][learned])
        targets.append(example.ids_N[1:][learned])
        weights.append(example.weights_N[1:][learned])
        owners.append(np.full(len(learned), owner))
    return Batch(
        tokens_T=laid.tokens_T,
        positions_T=laid.positions_T,
        segments=laid.segments,
        sites_S=np.concatenate(sites).astype(np.int64),
        targets_S=np.concatenate(targets).astype(np.int64),
        weights_S=np.concatenate(weights).astype(np.float32),
        owner_S=np.concatenate(owners).astype(np.int64),
        origins=tuple(example.origin for example in examples),
        images=_images(examples),
    )


def _images(examples: Sequence[Tokens]) -> tuple[tuple[str, ...], ...] | None:
    found = tuple(example.images for example in examples)
    return found if any(found) else None


def within_budget(
    examples: Sequence[Tokens], budget: int, share: bool = True, whole: bool = False
) -> list[list[int]]:
    """Cut examples into runs of at most `budget` tokens, as indices into `examples`.

    With `share` a prefix that several examples of a run share counts once, and examples that share
    come into the same run; without it they keep their order. With `whole` neighbours of one origin
    stay in one run. What is longer than the budget gets a run of its own: nothing is ever cut.
    """
    runs: list[list[int]] = []
    room, tree = 0, _Tree()
    for unit in _units(examples, share, whole):
        needed = _needed(examples, unit, tree, share)
        if not runs or needed > room:
            runs.append([])
            room, tree = budget, _Tree()
            needed = _needed(examples, unit, tree, share)
        runs[-1] += unit
        room -= needed
    return [sorted(run) for run in runs]


def _units(examples: Sequence[Tokens], share: bool, whole: bool) -> list[list[int]]:
    """Indices that stay together, each in the order in which it is laid down."""
    order = in_order_of_ids(examples) if share else list(range(len(examples)))
    if not whole:
        return [[number] for number in order]
    origins = [example.origin for example in examples]
    starts = [i for i in range(len(origins)) if i == 0 or origins[i] != origins[i - 1]]
    unit_N = np.repeat(starts, np.diff([*starts, len(origins)]))
    units: dict[int, list[int]] = {}
    for number in order:
        units.setdefault(int(unit_N[number]), []).append(number)
    return list(units.values())


def _needed(examples: Sequence[Tokens], unit: Sequence[int], tree: _Tree, share: bool) -> int:
    """How many tokens the examples of a unit add to those laid down, which `tree` then holds."""
    needed = 0
    for number in unit:
        ids_N = examples[number].ids_N
        needed += len(ids_N) - (tree.shared(ids_N) if share else 0)
        if share:
            tree.add(number, ids_N)
    return needed


def _ends(examples: Sequence[Tokens], share: bool) -> dict[int, _Node]:
    """The node in which each example ends."""
    if not share:
        return {i: _Node(0, len(example), i, None) for i, example in enumerate(examples)}
    tree = _Tree()
    for number in in_order_of_ids(examples):
        tree.add(number, examples[number].ids_N)
    return tree.ends


def in_order_of_ids(examples: Sequence[Tokens]) -> list[int]:
    """Indices in the order of the token ids: big-endian bytes compare as the numbers do."""
    keys = [example.ids_N.astype(">u4").tobytes() for example in examples]
    return sorted(range(len(keys)), key=keys.__getitem__)


def common_prefix(left_N: np.ndarray, right_N: np.ndarray) -> int:
    """How many first tokens are equal."""
    length = min(len(left_N), len(right_N))
    differs = left_N[:length] != right_N[:length]
    return int(differs.argmax()) if differs.any() else length


def _depth_first(ends: dict[int, _Node]) -> list[_Node]:
    """Every node, before its children; siblings in the order of their first examples."""
    tops = {id(top): top for top in (_path(end)[0] for end in ends.values())}
    waiting, found = list(tops.values()), []
    waiting.sort(key=_owner, reverse=True)
    while waiting:
        found.append(waiting.pop())
        waiting += sorted(found[-1].children, key=_owner, reverse=True)
    return found


def _owner(node: _Node) -> int:
    return node.owner


def _path(node: _Node) -> list[_Node]:
    """From the root to `node`."""
    path = [node]
    while path[-1].parent is not None:
        path.append(path[-1].parent)
    return path[::-1]


def _index_in_batch(end: _Node, places: dict[int, int], starts: np.ndarray) -> np.ndarray:
    """Where in the batch each token of the example that ends in `end` stands."""
    pieces = [starts[places[id(node)]] + np.arange(node.end - node.begin) for node in _path(end)]
    return np.concatenate(pieces)
