"""What a learning curve is said to mean, and its picture."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from tunesmith.evaluate.learning_chart import learning_chart
from tunesmith.evaluate.learning_curve import Curve, Losses, fit_curve
from tunesmith.evaluate.learning_words import cautions, outlook, sentence

SIZES = (100, 300, 1000)


def _curve(means: tuple[float, ...], rows: int = 100, noise: float = 0.05) -> Curve:
    """Rows of one length about these losses, each size with noise of its own."""
    draw = np.random.default_rng(0)
    nll_RP = np.array(means) + draw.normal(0, noise, (rows, len(means)))
    sizes = SIZES if len(means) == 3 else (50, *SIZES)
    return fit_curve(Losses(sizes, 10 * nll_RP[..., None], np.full(rows, 10.0)), 0)


def test_more_rows_help() -> None:
    curve = _curve((1.8, 1.5, 1.3))
    assert outlook(curve) == "helps"
    said = sentence(curve)
    assert said.startswith("Twice as many rows (2,000) would lower the held-out loss from 1.3")
    low, high = curve.loss - curve.gain(2).high, curve.loss - curve.gain(2).low
    assert f"({low:.3g} to {high:.3g})" in said
    assert low < high < curve.loss
    assert "what is left to gain" in said


@pytest.mark.parametrize("means", [(1.3, 1.3, 1.3), (1.2, 1.25, 1.3), (1.9, 1.3001, 1.3)])
def test_more_rows_hardly_help(means: tuple[float, ...]) -> None:
    curve = _curve(means, rows=400, noise=0.01)
    assert outlook(curve) == "hardly"
    assert sentence(curve).startswith("More rows hardly help: twice as many (2,000) would lower")


@pytest.mark.parametrize(("last", "moved"), [(1.15, "fell by 0."), (1.33, "rose by 0.")])
def test_noise_tells_nothing(last: float, moved: str) -> None:
    curve = _curve((1.5, 1.4, last), 30, 0.6)
    assert outlook(curve) == "unclear"
    said = sentence(curve)
    assert said.startswith("Too noisy to tell whether more rows help: from 300 to 1,000 rows")
    assert moved in said
    assert "on 30 held-out rows" in said


def test_seven_held_out_rows_tell_nothing_however_calm_they_look() -> None:
    curve = _curve((1.5, 1.4, 1.33), rows=7, noise=0.01)
    assert outlook(curve) == "unclear"
    assert sentence(curve).startswith("7 held-out rows are too few to tell")


def test_what_three_points_cannot_say_is_said() -> None:
    three, four = _curve((1.8, 1.5, 1.3)), _curve((2.0, 1.8, 1.5, 1.3))
    said = " ".join(cautions(three, best_at_end=False, chosen_on_judged=False))
    assert "nothing to test its form" in said
    assert "another seed" in said
    said = " ".join(cautions(four, best_at_end=True, chosen_on_judged=True))
    assert "nothing to test its form" not in said
    assert "noise of the training" in said
    assert "more epochs may lower the loss" in said
    assert "chose the weights" in said


def test_the_picture_stands_alone_and_holds_every_point() -> None:
    curve = _curve((1.8, 1.5, 1.3))
    picture = learning_chart(curve)
    root = ElementTree.fromstring(picture)
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}circle")) == 3
    texts = [each.text for each in root.findall(f"{space}text")]
    assert {"100", "300", "1,000", "2,000", "5,000"} <= set(texts)
    assert "href" not in picture
    assert picture == learning_chart(_curve((1.8, 1.5, 1.3)))
    numbers = [float(n) for pair in root.iter(f"{space}polyline") for n in _numbers(pair)]
    assert all(0 <= number <= 720 for number in numbers)


def _numbers(line: ElementTree.Element) -> list[str]:
    return line.get("points", "").replace(",", " ").split()


def _of_seeds(spread: float) -> Curve:
    """Calm rows, three sizes, and three seeds that lie `spread` apart."""
    means_PS = np.array([[1.8], [1.5], [1.4]]) + spread * np.array([-1.0, 0.0, 1.0])
    draw = np.random.default_rng(0)
    nll_RPS = means_PS + draw.normal(0, 0.01, (100, 3, 1))
    return fit_curve(Losses(SIZES, 10 * nll_RPS, np.full(100, 10.0)), 0)


def test_a_fall_that_seeds_could_have_made_is_none() -> None:
    calm, wild = _of_seeds(0.01), _of_seeds(0.2)
    assert calm.spread == pytest.approx(0.01)
    assert wild.spread == pytest.approx(0.2)
    assert [outlook(calm), outlook(wild)] == ["helps", "unclear"]
    said, doubted = (
        cautions(each, best_at_end=False, chosen_on_judged=False)[0] for each in (calm, wild)
    )
    assert "trained with 3 seeds: another one moves a point by about 0.01 nats" in said
    assert said.endswith(": more than noise.")
    assert doubted.endswith(": no more than noise.")


def test_the_error_of_seeds_is_in_every_interval() -> None:
    """0.2 over three seeds of three sizes: a standard error of 0.115, wider by t of 6 for 1.96."""
    curve = _of_seeds(0.2)
    reach = 0.2 / 3**0.5 * 2.447
    assert curve.points[-1].high - curve.loss == pytest.approx(reach, rel=0.1)
    fall = curve.drops[-1]
    assert fall.high - fall.value == pytest.approx(reach * 2**0.5, rel=0.1)
