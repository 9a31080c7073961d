"""Which held-out rows choose the weights to keep, and which judge them: no row does both.

A loss that was the lowest of twenty measurements on some rows is a little too good on those rows.
The verdict therefore speaks of other rows, wherever there are enough to divide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tunesmith.core.records import Origin, Prompt, Tokens

DIVIDED_FROM = 24
"""Fewer rows than this are not divided: a judgement needs at least 8, see `evaluate`."""

CHOOSING_ROWS = 256
"""At most this many rows are scored at each validation during training."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The held-out rows by purpose. `shared` says that they were too few, so all do both."""

    choosing: list[Tokens]
    judging: list[Tokens]
    prompts: list[Prompt]
    shared: bool


def divide(held_out: Sequence[Tokens], prompts: Sequence[Prompt], most: int) -> HeldOut:
    """Every third row chooses; of the others at most `most`, evenly spread, judge."""
    origins = list(dict.fromkeys(tokens.origin for tokens in held_out))
    shared = len(origins) < DIVIDED_FROM
    choosing = origins if shared else origins[::3]
    chosen = set() if shared else set(choosing)
    judging = set(spread([origin for origin in origins if origin not in chosen], most))
    return HeldOut(
        choosing=_of(held_out, set(spread(choosing, CHOOSING_ROWS))),
        judging=_of(held_out, judging),
        prompts=[prompt for prompt in prompts if prompt.origin in judging],
        shared=shared,
    )


def whole_rows(examples: Sequence[Tokens], most: int) -> list[Tokens]:
    """All parts of at most `most` rows, evenly spread over the examples."""
    return _of(examples, set(spread(list(dict.fromkeys(e.origin for e in examples)), most)))


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, evenly spread over the sequence."""
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def _of(examples: Sequence[Tokens], origins: set[Origin]) -> list[Tokens]:
    return [example for example in examples if example.origin in origins]
