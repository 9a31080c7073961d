"""Rows on one context: several questions on one document, several answers to one prompt.

Drawn at random such rows seldom meet in one step, and their context is computed again for each.
Found here, they can be drawn as blocks of the shuffle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from tunesmith.core.records import Tokens

PIECE = 32
"""Tokens by which rows are told apart at once; a context is at least that long."""

BY_CHANCE = 8
"""What more than one in so many rows begin with meets in most steps by itself."""

WINDOW, WINDOWS = 1024, 16
"""Of more than 16 windows of rows, so many evenly spread ones are looked at for an estimate."""

LOOKAHEAD = 32
"""Blocks that may wait for a step with room for them."""


@dataclass(frozen=True, slots=True)
class Contexts:
    """What was found among the `rows` looked at.

    `groups` are rows on one context, each with the `shared` tokens it saves per further row;
    `tokens` are those of all rows beyond what they share with so many that it meets by chance.
    """

    groups: tuple[np.ndarray, ...]
    shared: tuple[int, ...]
    tokens: int


def find_contexts(examples: Sequence[Tokens], rows: np.ndarray | None = None) -> Contexts:
    """Group rows whose common beginning is at least half of each, and 32 tokens or more.

    A tree over beginnings, walked from the root: each row is read a few times for each branching
    above its own end, and nothing but indices is kept. What more than an eighth of all rows begin
    with (a system prompt) counts as no row's own.
    """
    rows = np.arange(len(examples)) if rows is None else rows
    lengths_N, base_N = _lengths(examples), np.zeros(len(examples), dtype=np.int64)
    groups, shared = [], []
    waiting = [rows]
    while waiting:
        group = waiting.pop()
        depth, base = _common(examples, group), int(base_N[group[0]])
        if len(group) * BY_CHANCE > len(rows):
            base_N[group] = base = depth
        elif depth - base >= PIECE:
            near = lengths_N[group] - base <= 2 * (depth - base)
            if near.sum() > 1:
                groups.append(group[near])
                shared.append(depth - base)
                group = group[~near]
        waiting += _branches(examples, group[lengths_N[group] >= depth + PIECE], depth)
    tokens = int((lengths_N[rows] - base_N[rows]).sum())
    return Contexts(tuple(groups), tuple(shared), tokens)


def share_saved(examples: Sequence[Tokens], batch_size: int) -> float:
    """The share of an epoch's tokens that drawing rows on one context together saves.

    Compared with a random order, in which a few of them meet, too. An estimate where there are
    more than 16,384 rows.
    """
    total, rows = len(examples), np.arange(len(examples))
    if total > WINDOW * WINDOWS:
        starts = np.linspace(0, total - WINDOW, WINDOWS).astype(np.int64)
        rows = np.unique((starts[:, None] + np.arange(WINDOW)).ravel())
    found = find_contexts(examples, rows)
    steps, saved = -(-total // batch_size), 0.0
    for group, shared in zip(found.groups, found.shared, strict=True):
        at_random = steps * (1 - (1 - len(group) / total) ** batch_size)
        saved += max(0.0, at_random - -(-len(group) // _block(batch_size))) * shared
    return saved / max(1, found.tokens)


def draw_together(
    random: np.random.Generator,
    groups: Sequence[np.ndarray],
    row_M: np.ndarray,
    batch_size: int,
) -> np.ndarray:
    """A random order of rows in which rows of a group stand in blocks within a step.

    A block holds at most half a step, so that few steps see one context alone. `row_M` are the
    rows, ascending; one that is there several times has as many places, in blocks of their own.
    """
    total = len(row_M)
    group_M = _groups_of(groups, row_M)
    drawn_M = random.permutation(total)
    drawn_M = drawn_M[np.argsort(group_M[drawn_M], kind="stable")]
    group_M = group_M[drawn_M]
    first_M = np.searchsorted(group_M, group_M)
    begins_M = (np.arange(total) - first_M) % _block(batch_size) == 0
    block_M = np.cumsum(begins_M) - 1
    sizes = np.bincount(block_M)
    blocks = random.permutation(len(sizes))
    places = np.empty_like(blocks)
    places[blocks[_whole(sizes[blocks].tolist(), batch_size)]] = np.arange(len(blocks))
    return row_M[drawn_M[np.argsort(places[block_M], kind="stable")]]


def _groups_of(groups: Sequence[np.ndarray], row_M: np.ndarray) -> np.ndarray:
    """A number for what may stand in one block: a group, once more for each repetition of a row."""
    group_N = np.full(int(row_M.max(initial=-1)) + 1, len(groups))
    for number, group in enumerate(groups):
        group_N[group[group < len(group_N)]] = number
    group_M, place_M = group_N[row_M], np.arange(len(row_M))
    repetition_M = place_M - np.searchsorted(row_M, row_M)
    alone = (int(repetition_M.max(initial=0)) + 1) * len(groups) + place_M
    return np.where(group_M < len(groups), repetition_M * len(groups) + group_M, alone)


def _block(batch_size: int) -> int:
    return max(2, batch_size // 2)


def _whole(sizes: Sequence[int], step: int) -> list[int]:
    """The order of blocks in which few lie across two steps: one that does not fit waits."""
    order: list[int] = []
    waiting: list[int] = []
    room = step
    coming = iter(range(len(sizes)))
    while len(order) < len(sizes):
        fits = next((place for place in waiting if sizes[place] <= room), None)
        if fits is None:
            following = next(coming, None) if len(waiting) < LOOKAHEAD else None
            if following is not None:
                waiting.append(following)
                continue
            fits = waiting[0]
        waiting.remove(fits)
        order.append(fits)
        room = (room - sizes[fits]) % step or step
    return order


def _lengths(examples: Sequence[Tokens]) -> np.ndarray:
    """Tokens of each example, from where they are kept if they are."""
    kept = getattr(examples, "lengths", None)
    if kept is not None:
        return np.asarray(kept, dtype=np.int64)
    return np.fromiter(map(len, examples), dtype=np.int64, count=len(examples))


def _common(examples: Sequence[Tokens], rows: np.ndarray) -> int:
    """How many first tokens all of `rows` have in common."""
    common = examples[int(rows[0])].ids_N
    for row in rows[1:]:
        ids_N = examples[int(row)].ids_N[: len(common)]
        differs = ids_N != common[: len(ids_N)]
        common = common[: int(differs.argmax()) if differs.any() else len(ids_N)]
        if not len(common):
            break
    return len(common)


def _branches(examples: Sequence[Tokens], rows: np.ndarray, depth: int) -> list[np.ndarray]:
    """Those of `rows` that go on alike for a piece after `depth` tokens, two or more at a time."""
    if len(rows) < 2:
        return []
    pieces = (examples[int(row)].ids_N[depth : depth + PIECE].tobytes() for row in rows)
    digests = (int.from_bytes(blake2b(piece, digest_size=8).digest(), "big") for piece in pieces)
    digest_N = np.fromiter(digests, dtype=np.uint64, count=len(rows))
    order = np.argsort(digest_N, kind="stable")
    edges = np.flatnonzero(np.diff(digest_N[order])) + 1
    return [rows[part] for part in np.split(order, edges) if len(part) > 1]
