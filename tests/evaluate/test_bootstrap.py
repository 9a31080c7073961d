"""The intervals cover a known truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluate import bootstrap
from tunesmith.evaluate.bootstrap import (
    PairedRows,
    difference_of_changes,
    paired_change,
    resampled_sums,
)

TRUE_CHANGE = -0.7


def drawn(generator: np.random.Generator, rows: int, change: float = TRUE_CHANGE) -> PairedRows:
    """Rows of uneven size whose difficulty is shared by both sides."""
    size_R = generator.lognormal(4, 0.6, rows)
    hard_R = generator.normal(0, 0.5, rows)
    base_R = size_R * (1.9 + hard_R)
    tuned_R = size_R * (1.9 + change + hard_R + generator.normal(0, 0.2, rows))
    return PairedRows(base_R, tuned_R, size_R)


def coverage(hits: list[bool]) -> float:
    return sum(hits) / len(hits)


def test_the_paired_interval_covers_the_truth() -> None:
    generator = np.random.default_rng(1)
    found = [paired_change(drawn(generator, 60), seed) for seed in range(300)]
    assert 0.90 <= coverage([one.low <= TRUE_CHANGE <= one.high for one in found]) <= 0.99


def test_the_interval_of_a_difference_of_two_sets_covers_the_truth() -> None:
    generator = np.random.default_rng(2)
    found = [
        difference_of_changes(drawn(generator, 60, -0.7), drawn(generator, 90, -0.9), seed)
        for seed in range(300)
    ]
    assert 0.90 <= coverage([one.low <= 0.2 <= one.high for one in found]) <= 0.99
    assert found[0].n == 60


def test_pairing_takes_away_what_is_hard_for_both_sides() -> None:
    rows = drawn(np.random.default_rng(3), 60)
    paired = paired_change(rows, 0)
    strangers = PairedRows(rows.base_R, np.roll(rows.tuned_R, 7), rows.size_R)
    unpaired = paired_change(strangers, 0)
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)


def test_the_value_is_a_ratio_of_sums_and_not_a_mean_of_ratios() -> None:
    rows = PairedRows(np.array([10.0, 90.0]), np.array([5.0, 90.0]), np.array([10.0, 30.0]))
    assert rows.base == pytest.approx(100 / 40)
    assert paired_change(rows, 0).value == pytest.approx(-5 / 40)


def test_one_seed_gives_one_interval() -> None:
    rows = drawn(np.random.default_rng(4), 30)
    assert paired_change(rows, 5) == paired_change(rows, 5)
    assert paired_change(rows, 5) != paired_change(rows, 6)


def test_drawing_in_parts_keeps_every_resample(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.ones((7, 2))
    monkeypatch.setattr(bootstrap, "_DRAWS_AT_ONCE", 100)
    sums = resampled_sums(columns, 0, resamples=50)
    assert sums.shape == (50, 2)
    assert (sums == 7).all()


def test_two_sets_are_drawn_independently() -> None:
    rows = drawn(np.random.default_rng(5), 50)
    apart = difference_of_changes(rows, rows, 0)
    assert apart.value == 0
    assert apart.low < 0 < apart.high
