"""Charts show each number in its place, say it in words, and stay inside their frame."""

from __future__ import annotations

import re

import pytest

from tunesmith.evaluate.charts import (
    WIDTH,
    Mark,
    Row,
    Series,
    interval_chart,
    line_chart,
    shortened,
    thinned,
)


def _numbers(name: str, svg: str) -> list[float]:
    return [float(value) for value in re.findall(rf' {name}="(-?[\d.]+)"', svg)]


def _inside(svg: str) -> bool:
    (height,) = re.findall(r'viewBox="0 0 \d+ ([\d.]+)"', svg)
    across = [x for name in ("x", "cx", "x1", "x2") for x in _numbers(name, svg)]
    down = [y for name in ("y", "cy", "y1", "y2") for y in _numbers(name, svg)]
    return all(0 <= x <= WIDTH for x in across) and all(0 <= y <= float(height) for y in down)


def test_a_long_curve_keeps_its_mean() -> None:
    points = [(float(i), float(i % 7)) for i in range(1000)]
    thin = thinned(points, 100)
    assert len(thin) == 100
    assert sum(y for _, y in thin) / 100 == pytest.approx(sum(y for _, y in points) / 1000)
    assert thinned([]) == []


@pytest.mark.parametrize("largest", [-2.0, 0.0, 3e-5, 0.7, 1.0, 4.2, 12345.0, 3e8])
def test_every_point_lies_inside_the_chart(largest: float) -> None:
    series = [Series("loss", [(1, 0.0), (50, largest)], "train", dots=True)]
    svg = line_chart(series, "step", "nats", "Loss", [Mark(50, "kept")])
    assert _inside(svg)
    assert len(set(_numbers("cx", svg))) == 2
    assert 2 <= svg.count('class="grid"') <= 8


def test_axes_are_named_and_the_numbers_are_told() -> None:
    svg = line_chart([Series("held out", [(0, 3.0), (9, 1.5)], "held")], "step", "nats", "Loss")
    assert ">step</text>" in svg
    assert ">nats</text>" in svg
    assert 'aria-label="Loss. nats over step: held out from 3 at 0 to 1.5 at 9."' in svg
    assert line_chart([Series("held out", [], "held")], "step", "nats", "Loss") == ""


def test_an_interval_stands_where_its_numbers_are() -> None:
    rows = [
        Row("first", 0.5, 0.4, 0.6, "0.5", limit=1.0),
        Row("second", -0.5, None, None, "-0.5", start=1.0, kind="base"),
    ]
    svg = interval_chart(rows, "bits", "Change")
    assert _inside(svg)
    low, high = map(float, re.findall(r'interval tuned" x1="([\d.]+)" x2="([\d.]+)"', svg)[0])
    first, start, second = _numbers("cx", svg)
    assert first == pytest.approx((low + high) / 2, abs=0.1)
    (limit,) = re.findall(r'class="limit" x1="([\d.]+)"', svg)
    assert float(limit) == pytest.approx(start, abs=0.1)  # both are at 1.0
    assert second < low
    assert 'aria-label="Change. bits: first: 0.5; second: -0.5."' in svg
    assert interval_chart([], "bits", "Change") == ""


def test_names_are_escaped_and_shortened() -> None:
    svg = interval_chart([Row("<b>" + "x" * 80, 1.0, None, None, "1")], "bits", "Change")
    assert "<b>" not in svg
    assert "&lt;b&gt;xxx" in svg
    assert f"{'x' * 60}" not in svg.partition(">")[2]
    assert shortened("word", 4) == "word"
    assert shortened("words", 4) == "wor…"
