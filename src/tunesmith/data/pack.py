"""Lays tokenised examples end to end into one Batch: no padding, no attention across examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.core.batch import Batch, Segment
from tunesmith.core.records import Tokens


def pack(examples: Sequence[Tokens]) -> Batch:
    """One root segment an example; a site wherever the next token has a weight above zero.

    The site of a learned token is the position before it, so the first token of an example is
    never predicted.
    """
    lengths = np.array([len(example) for example in examples], dtype=np.int64)
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    sites, targets, weights, owners = [], [], [], []
    for owner, (example, start) in enumerate(zip(examples, starts, strict=True)):
        learned = np.flatnonzero(example.weights_N[1:] > 0)
        sites.append(learned + start)
        targets.append(example.ids_N[1:][learned])
        weights.append(example.weights_N[1:][learned])
        owners.append(np.full(len(learned), owner))
    return Batch(
        tokens_T=np.concatenate([example.ids_N for example in examples]).astype(np.int64),
        positions_T=np.concatenate([np.arange(length) for length in lengths]),
        segments=tuple(
            Segment(int(start), int(start + length))
            for start, length in zip(starts, lengths, strict=True)
        ),
        sites_S=np.concatenate(sites).astype(np.int64),
        targets_S=np.concatenate(targets).astype(np.int64),
        weights_S=np.concatenate(weights).astype(np.float32),
        owner_S=np.concatenate(owners).astype(np.int64),
        origins=tuple(example.origin for example in examples),
    )


def within_budget(examples: Sequence[Tokens], budget: int) -> list[Sequence[Tokens]]:
    """Cut a list of examples, in order, into runs of at most `budget` tokens each.

    An example longer than the budget gets a run of its own: nothing is ever cut.
    """
    runs: list[list[Tokens]] = []
    room = 0
    for example in examples:
        if not runs or len(example) > room:
            runs.append([])
            room = budget
        runs[-1].append(example)
        room -= len(example)
    return list(runs)
