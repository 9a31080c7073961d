"""The power law of a learning curve: found again where it is true, and honest where it is not."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluate.learning_curve import Curve, Losses, fit_curve

SIZES = (40, 80, 160, 320, 640, 1280)


def _losses(
    law: tuple[float, float, float], sizes: tuple[int, ...], rows: int, noise: float, seed: int
) -> Losses:
    """Rows of uneven length and difficulty whose mean loss follows the law."""
    a, b, c = law
    draw = np.random.default_rng(seed)
    count_R = draw.integers(5, 60, rows).astype(float)
    hard_R = draw.gamma(8, 1 / 8, rows)
    mean_P = np.array([a + b * size**-c for size in sizes])
    nll_RP = np.outer(hard_R, mean_P) + draw.normal(0, noise, (rows, len(sizes)))
    return Losses(sizes, (nll_RP * count_R[:, None])[..., None], count_R)


@pytest.mark.parametrize("law", [(0.8, 6.0, 0.4), (0.0, 5.0, 0.2), (1.2, 30.0, 0.8)])
def test_the_law_is_found_again(law: tuple[float, float, float]) -> None:
    best = fit_curve(_losses(law, SIZES, 4000, 0.0, 0), 0).best
    scale = 1.0 + 0.01  # the drawn rows are a little harder or easier than all
    assert best.c_B[0] == pytest.approx(law[2], abs=0.02)
    assert best.a_B[0] == pytest.approx(law[0], abs=0.03 * scale)
    assert best.b_B[0] == pytest.approx(law[1], rel=0.1)


@pytest.mark.parametrize("sizes", [(100, 300, 1000), SIZES])
def test_intervals_of_the_gain_cover_the_truth(sizes: tuple[int, ...]) -> None:
    law = (0.8, 6.0, 0.4)
    _, b, c = law
    most = sizes[-1]
    covered: list[bool] = []
    for seed in range(25):
        curve = fit_curve(_losses(law, sizes, 150, 0.1, seed), seed)
        for times in (2, 5):
            truth = b * most**-c - b * (times * most) ** -c
            gain = curve.gain(times)
            assert gain.low <= gain.value <= gain.high
            covered.append(gain.low <= truth <= gain.high)
        left = curve.left()
        covered.append(left.low <= b * most**-c <= left.high)
    assert np.mean(covered) >= 0.88


def test_noise_of_the_training_widens_the_interval_where_it_can_be_seen() -> None:
    """Each point a little off, the same for all rows, as another seed of training moves it."""
    smooth = _losses((0.8, 6.0, 0.4), SIZES, 300, 0.0, 1)
    moved_P = np.array([0.03, -0.04, 0.03, -0.03, 0.04, -0.03])
    rough = Losses(
        SIZES, smooth.nll_RPS + (moved_P * smooth.count_R[:, None])[..., None], smooth.count_R
    )
    calm, wild = fit_curve(smooth, 0), fit_curve(rough, 0)
    assert calm.misfit == pytest.approx(0, abs=0.003)
    assert wild.misfit is not None
    assert wild.misfit > 0.02
    assert _width(wild) > 3 * _width(calm)
    three = (0, 2, 5)
    picked = Losses([SIZES[i] for i in three], rough.nll_RPS[:, three], rough.count_R)
    assert fit_curve(picked, 0).misfit is None


def _width(curve: Curve) -> float:
    gain = curve.gain(2)
    return gain.high - gain.low


def test_where_nothing_falls_nothing_is_promised() -> None:
    flat = _losses((1.3, 0.0, 0.5), (100, 300, 1000), 200, 0.0, 0)
    rising = Losses(flat.rows_P, flat.nll_RPS * np.array([[1.0], [1.05], [1.1]]), flat.count_R)
    for losses in (flat, rising):
        curve = fit_curve(losses, 0)
        assert curve.gain(5).value == pytest.approx(0, abs=1e-9)
        assert curve.gain(5).high == pytest.approx(0, abs=1e-9)
    assert fit_curve(rising, 0).drops[-1].high < 0


def test_one_seed_gives_one_curve() -> None:
    losses = _losses((0.8, 6.0, 0.4), SIZES, 60, 0.2, 3)
    assert fit_curve(losses, 4).gain(2) == fit_curve(losses, 4).gain(2)
    assert fit_curve(losses, 4).gain(2) != fit_curve(losses, 5).gain(2)
