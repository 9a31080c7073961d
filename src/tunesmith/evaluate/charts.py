"""Charts as inline SVG in one style: the same numbers always give the same bytes; nothing loads.

Two forms: lines over a number (`line_chart`), and named rows with intervals (`interval_chart`).
Sizes are in SVG units of about a pixel. Colours and text sizes are those of the template's classes:
base, tuned, train, held, limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import escape

Point = tuple[float, float]

WIDTH = 460
"""Every chart has this width, so that texts are of one size on a page."""

_MOST_POINTS = 240
_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 276, 72, 18, 32, 52
_ROW, _CHARACTERS = 48, 46
"""Height of a row of intervals, and how many characters stand above it where text is largest."""


@dataclass(frozen=True, slots=True)
class Series:
    """Points in the order of x. `kind` is a CSS class; `name` is for those who read the chart.

    `line` joins them; single points need `dots`.
    """

    name: str
    points: Sequence[Point]
    kind: str
    dots: bool = False
    line: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the x axis, with what is to be said of it; `kind` is a CSS class: mark, limit."""

    at: float
    name: str
    kind: str = "mark"


@dataclass(frozen=True, slots=True)
class Row:
    """A value with its interval (None: without one). `start` is where it came from, `limit` what it
    may be at most, `said` is written beside the name."""

    name: str
    value: float
    low: float | None
    high: float | None
    said: str
    kind: str = "tuned"
    start: float | None = None
    limit: float | None = None


def line_chart(
    series: Sequence[Series], x_name: str, y_name: str, title: str, marks: Sequence[Mark] = ()
) -> str:
    """The series over one axis each way, named with their units. Empty without points.

    y begins at 0 unless that would hide the differences. Read aloud: the title, and where each
    series begins and ends.
    """
    drawn = [one for one in series if one.points]
    if not drawn:
        return ""
    xs = [x for one in drawn for x, _ in one.points] + [mark.at for mark in marks]
    ys = [y for one in drawn for _, y in one.points]
    frame = _Frame(_scale(min(xs), max(xs)), _scale(min(ys), max(ys)), _HEIGHT)
    parts = [*_y_axis(frame), *_x_axis(frame)]
    parts += [_named(WIDTH - _RIGHT, _HEIGHT - 8, x_name, "end"), _named(_LEFT, 18, y_name)]
    parts += [_marked(frame, mark, 14 + 18 * place) for place, mark in enumerate(marks)]
    parts += [_line(frame, one) for one in drawn]
    said = "; ".join(
        f"{one.name} from {one.points[0][1]:.3g} at {one.points[0][0]:.3g} "
        f"to {one.points[-1][1]:.3g} at {one.points[-1][0]:.3g}"
        for one in drawn
    )
    return _svg(_HEIGHT, f"{title}. {y_name} over {x_name}: {said}.", parts)


def interval_chart(
    rows: Sequence[Row], axis: str, title: str, ends: tuple[float, ...] = (0.0,)
) -> str:
    """A line a row, from the low to the high end of its interval; empty without rows.

    The axis holds all of that, and `ends`. Read aloud: the title, and what each row says.
    """
    if not rows:
        return ""
    every = (end for row in rows for end in (row.value, row.low, row.high, row.start, row.limit))
    shown = [end for end in every if end is not None] + [*ends]
    height = _TOP + _ROW * len(rows) + _BOTTOM - 8
    frame = _Frame(_scale(min(shown), max(shown)), (0.0, 1.0), height, left=12)
    parts = [*_x_axis(frame, grid=True), _named(WIDTH - _RIGHT, height - 8, axis, "end")]
    parts.append(f'<line class="zero" {_vertical(frame.x(0), 8, height - _BOTTOM)}/>')
    parts += [_row(frame, row, _TOP + _ROW * place) for place, row in enumerate(rows)]
    said = "; ".join(f"{row.name}: {row.said}" for row in rows)
    return _svg(height, f"{title}. {axis}: {said}.", parts)


def thinned(points: Sequence[Point], most: int = _MOST_POINTS) -> list[Point]:
    """At most `most` points: neighbours are averaged, so that no step is left out."""
    size = math.ceil(len(points) / most) if points else 1
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]


@dataclass(frozen=True, slots=True)
class _Frame:
    x_ticks: Sequence[float]
    y_ticks: Sequence[float]
    height: float
    left: float = _LEFT

    def x(self, value: float) -> float:
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return self.left + (WIDTH - self.left - _RIGHT) * (value - low) / (high - low)

    def y(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return self.bottom - (self.bottom - _TOP) * (value - low) / (high - low)

    @property
    def bottom(self) -> float:
        return self.height - _BOTTOM


def ticks_between(low: float, high: float) -> list[float]:
    """Round numbers from just below `low` to just above `high`, four to seven of them."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(power * by for by in (1, 2, 2.5, 5, 10) if (high - low) / (power * by) <= 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(at * step, 12) for at in range(first, last + 1)]


def _scale(low: float, high: float) -> list[float]:
    """Ticks around both ends; from 0 where that is no great detour."""
    return ticks_between(0.0 if 0 <= low < 0.6 * high else low, high)


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _y_axis(frame: _Frame) -> list[str]:
    return [
        f'<line class="grid" x1="{frame.left:g}" x2="{WIDTH - _RIGHT}" y1="{frame.y(tick):.1f}" '
        f'y2="{frame.y(tick):.1f}"/>'
        + _text(frame.left - 8, frame.y(tick) + 4, _number(tick), "end")
        for tick in frame.y_ticks
    ]


def _x_axis(frame: _Frame, grid: bool = False) -> list[str]:
    parts = []
    for tick in frame.x_ticks:
        x = frame.x(tick)
        if grid:
            parts.append(f'<line class="grid" {_vertical(x, 8, frame.bottom)}/>')
        anchor = "end" if x > WIDTH - 30 else "start" if x < 20 else "middle"
        parts.append(_text(x, frame.bottom + 20, _number(tick), anchor))
    return parts


def _number(tick: float) -> str:
    return f"{tick:,.0f}" if tick == round(tick) else f"{tick:g}"


def _marked(frame: _Frame, mark: Mark, down: float) -> str:
    x = frame.x(mark.at)
    right = x > WIDTH * 0.6
    return f'<line class="{mark.kind}" {_vertical(x, _TOP, frame.bottom)}/>' + _text(
        x + (-6 if right else 6), _TOP + down, mark.name, "end" if right else "start", "said"
    )


def _line(frame: _Frame, series: Series) -> str:
    at = [(frame.x(x), frame.y(y)) for x, y in series.points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    dots = [_dot(x, y, series.kind) for x, y in at] if series.dots or len(at) == 1 else []
    joined = f'<polyline class="{series.kind}" points="{line}"/>' if series.line else ""
    return f"{joined}{''.join(dots)}"


def _row(frame: _Frame, row: Row, top: float) -> str:
    """The name and what is said above, the interval below."""
    y = top + 20
    name = shortened(row.name, _CHARACTERS - len(row.said))
    parts = [_text(frame.left, top + 4, name, "start", "name")]
    parts.append(_text(WIDTH - _RIGHT, top + 4, row.said, "end", "said"))
    if row.limit is not None:
        parts.append(f'<line class="limit" {_vertical(frame.x(row.limit), y - 9, y + 9)}/>')
    if row.start is not None:
        parts.append(_across(frame, row.start, row.value, y, "way"))
        parts.append(_dot(frame.x(row.start), y, "base"))
    if row.low is not None and row.high is not None:
        parts.append(_across(frame, row.low, row.high, y, f"interval {row.kind}"))
    return "".join([*parts, _dot(frame.x(row.value), y, row.kind)])


def shortened(text: str, most: int) -> str:
    """At most `most` characters, with an ellipsis where some were left out."""
    return text if len(text) <= most else f"{text[: max(1, most - 1)].rstrip()}…"


def _across(frame: _Frame, low: float, high: float, y: float, kind: str) -> str:
    ends = f'x1="{frame.x(low):.1f}" x2="{frame.x(high):.1f}" y1="{y:.1f}" y2="{y:.1f}"'
    return f'<line class="{kind}" {ends}/>'


def _vertical(x: float, top: float, bottom: float) -> str:
    return f'x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{bottom:g}"'


def _dot(x: float, y: float, kind: str) -> str:
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def _named(x: float, y: float, name: str, anchor: str = "start") -> str:
    return _text(x, y, name, anchor, "axis")


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'
