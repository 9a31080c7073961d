"""The states of a job, and every move between them that is legal.

    validating_files ──► queued ──► running ──► succeeded
           │               ▲ ▲        │  │
           │               │ └────────┘  ├────► failed       (also from validating_files, queued)
           ▼               │  retaken    └────► cancelled    (from any that is not finished)
         failed          paused ◄── queued, running, validating_files

A job that lost its worker goes from running back to queued. What is not in `MOVES` cannot happen:
it is refused where it is tried, inside the transaction that would have done it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Status = Literal[
    "validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"
]

MOVES: Mapping[Status, frozenset[Status]] = {
    "validating_files": frozenset({"queued", "paused", "failed", "cancelled"}),
    "queued": frozenset({"running", "paused", "failed", "cancelled"}),
    "running": frozenset({"queued", "paused", "succeeded", "failed", "cancelled"}),
    "paused": frozenset({"queued", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}

STATUSES: tuple[Status, ...] = get_args(Status)
FINISHED = frozenset(status for status, moves in MOVES.items() if not moves)
"""From these nothing leads on."""


def is_legal(before: Status, after: Status) -> bool:
    """Whether a job may go from one to the other."""
    return after in MOVES[before]
