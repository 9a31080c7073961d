"""Which held-out rows choose and which judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest

from tunesmith.core.records import Origin, Prompt, Tokens
from tunesmith.runs.heldout import DIVIDED_FROM, divide, spread, whole_rows


def _rows(count: int, parts: int = 1, path: str = "a") -> list[Tokens]:
    ids = np.zeros(3, dtype=np.int32)
    weights = np.ones(3, dtype=np.float32)
    return [
        Tokens(Origin(path, line), ids, weights, 3, part)
        for line in range(1, count + 1)
        for part in range(parts)
    ]


def _prompts(rows: Sequence[Tokens]) -> Callable[[Iterable[int]], list[Prompt]]:
    prompts = [Prompt(row.origin, (), row.ids_N, "") for row in rows]
    return lambda numbers: [prompts[number] for number in numbers]


@pytest.mark.parametrize("parts", [1, 3])
def test_no_row_both_chooses_and_judges(parts: int) -> None:
    rows = _rows(60, parts)
    held = divide(rows, _prompts(_rows(60)), 1000)
    choosing = {tokens.origin for tokens in held.choosing}
    judging = {tokens.origin for tokens in held.judging}
    assert not held.shared
    assert not choosing & judging
    assert choosing | judging == {tokens.origin for tokens in rows}
    assert (len(choosing), len(judging)) == (20, 40)
    assert {prompt.origin for prompt in held.prompts} == judging
    assert {prompt.origin for prompt in held.choosing_prompts} == choosing
    assert len(held.judging) == parts * len(judging), "a document is judged whole"


def test_too_few_rows_do_both() -> None:
    rows = _rows(DIVIDED_FROM - 1)
    held = divide(rows, _prompts(rows), 1000)
    assert held.shared
    assert held.choosing == held.judging == rows
    assert (len(held.prompts), held.choosing_prompts) == (len(rows), [])


def test_at_most_so_many_rows_from_every_file() -> None:
    rows = [*_rows(400, path="a"), *_rows(400, path="b")]
    held = divide(rows, _prompts(rows), 64)
    counts = [sum(tokens.origin.path == path for tokens in held.judging) for path in "ab"]
    assert sum(counts) == 64
    assert min(counts) >= 30


def test_whole_rows_are_never_cut() -> None:
    chosen = whole_rows(_rows(10, parts=4), 3)
    assert len(chosen) == 12
    assert len({tokens.origin for tokens in chosen}) == 3


def test_spread_reaches_over_the_whole() -> None:
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread(range(2), 3) == [0, 1]
