"""A histogram holds every length once, in bins with round borders."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.lengths import BINS, Bin, histogram

LENGTHS = st.lists(st.integers(1, 10**6), min_size=1, max_size=200)


@given(LENGTHS)
def test_each_length_is_counted_once_in_bins_without_a_gap(lengths: list[int]) -> None:
    bins = histogram(np.array(lengths))
    assert all(above.low == below.high + 1 for below, above in pairwise(bins))
    for each in bins:
        assert each.sequences == sum(each.low <= length <= each.high for length in lengths)
    assert sum(each.sequences for each in bins) == len(lengths)
    assert 1 <= len(bins) <= 2 * BINS


def test_borders_are_round_and_a_far_one_does_not_press_the_others() -> None:
    lengths = np.array([*range(40, 240), 90_000])
    bins = histogram(lengths)
    assert bins[:2] == (Bin(40, 59, 20), Bin(60, 79, 20))
    assert bins[-1] == Bin(240, 90_000, 1)
    assert histogram(np.array([7])) == (Bin(7, 7, 1),)
    assert histogram(np.array([], dtype=np.int64)) == ()
