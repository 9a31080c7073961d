"""Line charts as inline SVG: the same numbers always give the same bytes, and nothing is loaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import escape

Point = tuple[float, float]

_MOST_POINTS = 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 14, 12, 34


@dataclass(frozen=True, slots=True)
class Series:
    """Points in the order of x. `kind` is a CSS class of the template: train, held, rate."""

    points: Sequence[Point]
    kind: str
    dots: bool = False


def line_chart(series: Sequence[Series], width: int, height: int, label: str) -> str:
    """An SVG of the series over optimiser steps, its y axis from 0. Empty without points.

    Sizes are in SVG units; the picture scales with the page. `label` is read by screen readers.
    """
    points = [point for one in series for point in one.points]
    if not points:
        return ""
    x_ticks = _ticks(max(x for x, _ in points))
    y_ticks = _ticks(max(y for _, y in points))
    frame = _Frame(width, height, x_ticks[-1], y_ticks[-1])
    parts = [_grid(frame, y_ticks), _x_axis(frame, x_ticks)]
    parts += [_drawn(frame, one) for one in series]
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def thinned(points: Sequence[Point], most: int = _MOST_POINTS) -> list[Point]:
    """At most `most` points: neighbours are averaged, so that no step is left out."""
    size = math.ceil(len(points) / most) if points else 1
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


@dataclass(frozen=True, slots=True)
class _Frame:
    width: int
    height: int
    x_end: float
    y_end: float

    def x(self, value: float) -> float:
        return _LEFT + (self.width - _LEFT - _RIGHT) * value / self.x_end

    def y(self, value: float) -> float:
        return self.height - _BOTTOM - (self.height - _TOP - _BOTTOM) * value / self.y_end


def ticks_between(low: float, high: float) -> list[float]:
    """Round numbers from just below `low` to just above `high`, four to seven of them."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    step = _step(high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def _ticks(largest: float) -> list[float]:
    """Round numbers from 0 to just above `largest`, four to six of them."""
    return ticks_between(0.0, largest) if largest > 0 else [0.0, 1.0]


def _step(length: float) -> float:
    """A round number that goes four to five times into `length`."""
    power = 10.0 ** math.floor(math.log10(length / 4))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if length / (power * factor) <= 5)


def _grid(frame: _Frame, ticks: Sequence[float]) -> str:
    lines = []
    for tick in ticks:
        y = frame.y(tick)
        lines.append(
            f'<line class="grid" x1="{_LEFT}" x2="{frame.width - _RIGHT}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/><text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    return "".join(lines)


def _x_axis(frame: _Frame, ticks: Sequence[float]) -> str:
    whole = [tick for tick in ticks if tick == int(tick)]
    y = frame.height - _BOTTOM + 18
    labels = [
        f'<text x="{frame.x(tick):.1f}" y="{y}" text-anchor="middle">{tick:g}</text>'
        for tick in whole
    ]
    return "".join(labels)


def _drawn(frame: _Frame, series: Series) -> str:
    at = [f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in series.points]
    line = f'<polyline class="{series.kind}" points="{" ".join(at)}"/>'
    if not series.dots:
        return line
    dots = [
        f'<circle class="{series.kind}" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3.5"/>'
        for x, y in series.points
    ]
    return line + "".join(dots)
