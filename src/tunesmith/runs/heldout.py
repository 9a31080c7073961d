"""Which held-out rows choose the weights to keep, and which judge them: no row does both.

A loss that was the lowest of twenty measurements on some rows is a little too good on those rows.
The verdict therefore speaks of other rows, wherever there are enough to divide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tunesmith.core.records import Origin, Prompt, Tokens
from tunesmith.data import Sequences

DIVIDED_FROM = 24
"""Fewer rows than this are not divided: a judgement needs at least 8, see `evaluate`."""

CHOOSING_ROWS = 256
"""At most this many rows are scored at each validation during training."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The held-out rows by purpose. `shared` says that they were too few, so all do both.

    `rows` are the numbers of the judging rows, `prompts` these as questions, `choosing_prompts` the
    others that choose.
    """

    choosing: list[Tokens]
    judging: list[Tokens]
    rows: list[int]
    prompts: list[Prompt]
    choosing_prompts: list[Prompt]
    shared: bool


def divide(
    held_out: Sequence[Tokens], prompts: Callable[[Iterable[int]], list[Prompt]], most: int
) -> HeldOut:
    """Every third row chooses; of the others at most `most`, evenly spread, judge.

    `prompts` makes rows, by number, into questions: only those that are used are made.
    """
    number_N = row_numbers(held_out)
    rows = np.unique(number_N).tolist()
    shared = len(rows) < DIVIDED_FROM
    choosing = spread(rows if shared else rows[::3], CHOOSING_ROWS)
    others = rows if shared else [row for place, row in enumerate(rows) if place % 3]
    judging = spread(others, most)
    return HeldOut(
        choosing=_of(held_out, number_N, choosing),
        judging=_of(held_out, number_N, judging),
        rows=judging,
        prompts=prompts(judging),
        choosing_prompts=prompts(sorted(set(choosing) - set(judging))),
        shared=shared,
    )


def whole_rows(examples: Sequence[Tokens], most: int) -> list[Tokens]:
    """All parts of at most `most` rows, evenly spread over the examples."""
    number_N = row_numbers(examples)
    return _of(examples, number_N, spread(np.unique(number_N).tolist(), most))


def row_numbers(examples: Sequence[Tokens]) -> np.ndarray:
    """The number of the row of each example (int64, ascending); a store knows them by heart."""
    if isinstance(examples, Sequences):
        return examples.rows
    known: dict[Origin, int] = {}
    numbers = [known.setdefault(each.origin, len(known)) for each in examples]
    return np.array(numbers, dtype=np.int64)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, evenly spread over the sequence."""
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def _of(examples: Sequence[Tokens], number_N: np.ndarray, rows: Sequence[int]) -> list[Tokens]:
    return [examples[int(index)] for index in np.flatnonzero(np.isin(number_N, rows))]
