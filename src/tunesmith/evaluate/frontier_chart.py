"""The gain/retention frontier as inline SVG: a dot a strength, with its intervals.

To the right is more gain, upwards is more forgotten, so the best place is the lower right corner.
The same numbers always give the same bytes, and nothing is loaded. Classes are those of the report:
grid, held (the measured points), train (their intervals), rate (what the recipe allows).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import escape

from tunesmith.evaluate.wording import number, percent

_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 24, 22, 40

Point = Mapping[str, Any]


def frontier_chart(frontier: Mapping[str, Any], width: int, height: int, label: str) -> str:
    """An SVG of `detail["frontier"]` of the question kept; empty without points.

    Sizes are in SVG units; the picture scales with the page. `label` is read by screen readers.
    """
    points: Sequence[Point] = frontier["points"]
    if not points:
        return ""
    allowed = frontier["most_forgetting"]
    ends_y = _ends(points, "forgetting") + ([] if allowed is None else [allowed])
    frame = _Frame(width, height, _ticks(_ends(points, "gain")), _ticks(ends_y))
    parts = [_axes(frame, frontier["unit"]), *(_interval(frame, point) for point in points)]
    if allowed is not None:
        parts.append(_allowed(frame, allowed))
    parts.append(_line(frame, points))
    parts += [_dot(frame, point, point["strength"] == frontier["strength"]) for point in points]
    parts += _names(frame, points, frontier["strength"])
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    width: int
    height: int
    ticks_x: Sequence[float]
    ticks_y: Sequence[float]

    def x(self, value: float) -> float:
        share = (value - self.ticks_x[0]) / (self.ticks_x[-1] - self.ticks_x[0])
        return _LEFT + (self.width - _LEFT - _RIGHT) * share

    def y(self, value: float) -> float:
        share = (value - self.ticks_y[0]) / (self.ticks_y[-1] - self.ticks_y[0])
        return self.height - _BOTTOM - (self.height - _TOP - _BOTTOM) * share


def _ends(points: Sequence[Point], key: str) -> list[float]:
    return [point[key][end] for point in points for end in ("low", "high")]


def _ticks(values: Sequence[float]) -> list[float]:
    """Round numbers from below the least of the values, and 0, to above the largest."""
    low, high = min(0.0, *values), max(0.0, *values)
    if low == high:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if high - low <= 5 * power * factor)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [place * step for place in range(first, last + 1)]


def _axes(frame: _Frame, unit: str) -> str:
    right, bottom = frame.width - _RIGHT, frame.height - _BOTTOM
    parts = []
    for tick in frame.ticks_y:
        y = frame.y(tick)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{percent(tick)}</text>'
        )
    for tick in frame.ticks_x:
        x = frame.x(tick)
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    parts.append(
        f'<text x="{_LEFT}" y="12">forgotten</text>'
        f'<text x="{right}" y="{bottom + 33}" text-anchor="end">gain, {escape(unit)}</text>'
    )
    return "".join(parts)


def _interval(frame: _Frame, point: Point) -> str:
    gain, lost = point["gain"], point["forgetting"]
    x, y = frame.x(gain["value"]), frame.y(lost["value"])
    return (
        f'<polyline class="train" points="{frame.x(gain["low"]):.1f},{y:.1f} '
        f'{frame.x(gain["high"]):.1f},{y:.1f}"/>'
        f'<polyline class="train" points="{x:.1f},{frame.y(lost["low"]):.1f} '
        f'{x:.1f},{frame.y(lost["high"]):.1f}"/>'
    )


def _allowed(frame: _Frame, share: float) -> str:
    y, right = frame.y(share), frame.width - _RIGHT
    return (
        f'<polyline class="rate" points="{_LEFT},{y:.1f} {right},{y:.1f}"/>'
        f'<text x="{_LEFT + 4}" y="{y - 5:.1f}">allowed: {percent(share)}</text>'
    )


def _line(frame: _Frame, points: Sequence[Point]) -> str:
    at = [
        f"{frame.x(point['gain']['value']):.1f},{frame.y(point['forgetting']['value']):.1f}"
        for point in points
    ]
    return f'<polyline class="held" points="{" ".join(at)}"/>'


def _dot(frame: _Frame, point: Point, saved: bool) -> str:
    x, y = frame.x(point["gain"]["value"]), frame.y(point["forgetting"]["value"])
    return f'<circle class="held" cx="{x:.1f}" cy="{y:.1f}" r="{6 if saved else 3.5}"/>'


def _names(frame: _Frame, points: Sequence[Point], saved: float) -> list[str]:
    """The strengths beside their dots, the saved one first; none over another."""
    placed: list[tuple[float, float]] = []
    texts = []
    for point in sorted(points, key=lambda point: point["strength"] != saved):
        x, y = frame.x(point["gain"]["value"]), frame.y(point["forgetting"]["value"])
        if any(abs(x - other_x) < 70 and abs(y - other_y) < 16 for other_x, other_y in placed):
            continue
        placed.append((x, y))
        name = number(point["strength"]) + (" saved" if point["strength"] == saved else "")
        texts.append(f'<text x="{x - 9:.1f}" y="{y - 7:.1f}" text-anchor="end">{name}</text>')
    return texts
