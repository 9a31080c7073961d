"""The intervals cover a known truth as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.coverage import ROWS, percentile, table
from benchmarks.coverage import coverage as covered
from benchmarks.worlds import WORLDS
from tunesmith.evaluate import bootstrap
from tunesmith.evaluate.bootstrap import (
    PairedRows,
    corpus_change,
    difference_of_changes,
    paired_change,
    paired_rate_change,
    resampled_sums,
    student,
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


BY_NAME = {world.name: world for world in WORLDS}


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("loss: rows of unequal size", 8),
        ("loss: skewed", 20),
        ("loss: heavy tails", 12),
        ("rate: 90% to 95%, 80% of the rows alike", 12),
        ("rate: 5% to 95%", 8),
        ("corpus: chrF", 12),
    ],
)
def test_few_rows_are_covered_as_often_as_is_said(name: str, rows: int) -> None:
    found = covered(BY_NAME[name], rows, sets=300)
    assert found.ours >= 0.92
    assert found.percentile is None or found.percentile <= found.ours - 0.02


def test_no_difference_is_what_two_equal_models_have() -> None:
    world = BY_NAME["no change: heavy tails"]
    assert covered(world, 20, sets=300).ours >= 0.94


def test_the_page_has_a_line_for_every_world() -> None:
    cell = covered(WORLDS[0], 8, sets=20)
    page = table({world.name: [cell] * len(ROWS) for world in WORLDS})
    assert len(page.splitlines()) == len(WORLDS) + 2


def test_a_model_measured_twice_has_changed_by_nothing() -> None:
    rows = drawn(np.random.default_rng(6), 20)
    same = paired_change(PairedRows(rows.base_R, rows.base_R, rows.size_R), 0)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_rows_that_all_agree_give_a_point() -> None:
    size_R = np.array([3.0, 5.0, 9.0])
    found = paired_change(PairedRows(2 * size_R, 1.3 * size_R, size_R), 0)
    assert found.low == pytest.approx(found.high) == pytest.approx(-0.7)


@pytest.mark.parametrize("freedom", [3, 7, 11, 19, 47, 255, 100_000])
def test_students_t_is_that_of_scipy(freedom: int) -> None:
    assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-3)


def test_the_interval_is_never_narrower_than_students() -> None:
    generator = np.random.default_rng(7)
    for seed in range(20):
        change_R = generator.normal(size=9)
        found = paired_change(PairedRows(np.zeros(9), change_R, np.ones(9)), seed)
        theirs = stats.ttest_1samp(change_R, 0).confidence_interval()
        assert found.low <= theirs.low + 1e-3 * abs(theirs.low)
        assert found.high >= theirs.high - 1e-3 * abs(theirs.high)


def test_the_draws_are_those_of_scipy() -> None:
    rows = drawn(np.random.default_rng(8), 40)

    def ratio(change: np.ndarray, size: np.ndarray, axis: int = -1) -> np.ndarray:
        return change.sum(axis=axis) / size.sum(axis=axis)

    theirs = stats.bootstrap(
        (rows.tuned_R - rows.base_R, rows.size_R),
        ratio,
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    ours = percentile(rows, 0)
    reach = ours.high - ours.low
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.05 * reach)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.05 * reach)
    sums_BK = resampled_sums(np.stack([rows.tuned_R - rows.base_R, rows.size_R], axis=1), 0)
    spread = (sums_BK[:, 0] / sums_BK[:, 1]).std()
    assert spread == pytest.approx(theirs.standard_error, rel=0.05)


def test_a_rate_is_bonett_and_prices() -> None:
    # 12 rows of which 6 rose and 1 fell: (7 − 2) / 14 ± 1.96 √((7/14 + 2/14 − (5/14)²) / 14).
    before = np.array([0.0] * 6 + [1.0] + [1.0] * 5)
    after = np.array([1.0] * 6 + [0.0] + [1.0] * 5)
    found = paired_rate_change(PairedRows(before, after, np.ones(12)))
    reach = 1.959964 * math.sqrt((9 / 14 - (5 / 14) ** 2) / 14)
    assert found.value == pytest.approx(5 / 12)
    assert (found.low, found.high) == pytest.approx((5 / 14 - reach, 5 / 14 + reach), abs=1e-6)


def test_a_rate_that_no_row_changed_may_still_change() -> None:
    never = paired_rate_change(PairedRows(np.zeros(12), np.zeros(12), np.ones(12)))
    assert never.value == 0
    assert -0.25 < never.low < 0 < never.high < 0.25
    always = paired_rate_change(PairedRows(np.zeros(12), np.ones(12), np.ones(12)))
    assert always.low < 1 == always.high


def test_one_row_that_differs_gives_an_interval_of_sense() -> None:
    change_R = np.array([1.0] + [0.0] * 11)
    found = paired_change(PairedRows(np.zeros(12), change_R, np.ones(12)), 0)
    assert found.low < 0 < found.high < 0.5


def test_a_mean_as_a_corpus_has_the_interval_of_the_mean() -> None:
    rows = drawn(np.random.default_rng(9), 60)
    sides = [np.stack([total, rows.size_R], axis=1) for total in (rows.base_R, rows.tuned_R)]
    found = corpus_change(*sides, lambda sums: sums[..., 0] / sums[..., 1], 0)
    mean = paired_change(rows, 0)
    assert found.value == pytest.approx(mean.value)
    assert found.low == pytest.approx(mean.low, abs=0.15 * (mean.high - mean.low))
    assert found.high == pytest.approx(mean.high, abs=0.15 * (mean.high - mean.low))
