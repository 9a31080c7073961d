"""The most repeated beginning is the one that trying all of them finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.records import Origin, Tokens
from tunesmith.data import prefixes
from tunesmith.data.pack import MIN_SHARED
from tunesmith.data.prefixes import most_repeated

# Few ids in runs, so that beginnings of all lengths are shared.
IDS = st.lists(st.sampled_from([0, 1]), min_size=1, max_size=3).map(
    lambda runs: [token for token in runs for _ in range(MIN_SHARED - 2)]
)


def _tokens(ids: list[int]) -> Tokens:
    ids_N = np.array(ids, np.int32)
    return Tokens(Origin("a", 1), ids_N, np.ones(len(ids), np.float32), len(ids))


def _best(rows: list[list[int]]) -> int:
    saved = [0]
    for row in rows:
        for length in range(MIN_SHARED, len(row) + 1):
            saved.append(length * (sum(each[:length] == row[:length] for each in rows) - 1))
    return max(saved)


@given(st.lists(IDS, min_size=1, max_size=8))
def test_it_saves_as_much_as_the_best_of_all(rows: list[list[int]]) -> None:
    found = most_repeated([_tokens(row) for row in rows], 30)
    if found is None:
        assert _best(rows) == 0
        return
    assert found.saved == _best(rows)
    prefix = found.ids_P.tolist()
    assert found.sequences == sum(row[: len(prefix)] == prefix for row in rows)
    assert found.looked_at == len(rows)


def test_of_many_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "MOST_ROWS", 10)
    found = most_repeated([_tokens([5] * 20) for _ in range(100)], 20)
    assert found is not None
    assert (found.sequences, found.looked_at, found.saved) == (10, 10, 180)
