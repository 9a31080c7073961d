"""Learning-rate schedules as properties over many run lengths."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tunesmith.engine.schedules import SCHEDULES, rate

LENGTHS = (1, 2, 7, 40, 1000)
WARMUPS = (0.0, 0.05, 0.5, 1.0)


def _rates(schedule: str, steps: int, warmup: float) -> list[float]:
    return [rate(schedule, step, steps, warmup, 2e-3) for step in range(steps)]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", LENGTHS)
@pytest.mark.parametrize("warmup", WARMUPS)
def test_no_step_is_wasted_or_above_the_peak(schedule: str, steps: int, warmup: float) -> None:
    rates = _rates(schedule, steps, warmup)
    assert min(rates) > 0
    assert max(rates) <= 2e-3


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_climbs_by_equal_rungs_then_never_again(schedule: str) -> None:
    rates = _rates(schedule, 100, 0.1)
    rungs = [later - earlier for earlier, later in pairwise(rates[:11])]
    assert rates[0] == pytest.approx(2e-3 / 11)
    assert rungs == pytest.approx([2e-3 / 11] * 10)
    assert rates[10] == 2e-3
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_each_descent_has_its_shape() -> None:
    assert set(_rates("constant", 50, 0.0)) == {2e-3}
    linear = _rates("linear", 4, 0.0)
    assert linear == pytest.approx([2e-3, 1.5e-3, 1e-3, 0.5e-3])
    cosine = _rates("cosine", 100, 0.0)
    assert cosine[50] == pytest.approx(1e-3)
    assert cosine[25] + cosine[75] == pytest.approx(2e-3)


def test_the_trapezoid_is_flat_for_three_quarters() -> None:
    rates = _rates("trapezoid", 100, 0.0)
    assert set(rates[:76]) == {2e-3}
    assert rates[76:] == pytest.approx([2e-3 * (100 - step) / 25 for step in range(76, 100)])


def test_a_re_warmed_rate_ends_at_a_tenth() -> None:
    rates = _rates("rewarm", 1000, 0.1)
    assert rates[99] < rates[100] == 2e-3
    assert rates[550] == pytest.approx(0.55 * 2e-3)
    assert rates[-1] == pytest.approx(2e-4, rel=1e-3)
