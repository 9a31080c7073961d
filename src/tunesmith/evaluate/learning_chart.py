"""The picture of a learning curve: one SVG that stands alone and loads nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.evaluate.bootstrap import CONFIDENCE
from tunesmith.evaluate.charts import ticks_between
from tunesmith.evaluate.learning_curve import Curve, PowerLaws
from tunesmith.evaluate.learning_words import TIMES

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 24, 40, 52
_STEPS = 80
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#555}"
    ".grid{stroke:#ddd}.band{fill:#2a6fb0;fill-opacity:.15}"
    ".law{fill:none;stroke:#2a6fb0;stroke-width:2}.ahead{stroke-dasharray:6 5}"
    ".error{stroke:#222;stroke-width:1.5}.point{fill:#222}"
)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Rows on a logarithmic axis, losses on a linear one."""

    fewest: float
    most: float
    low: float
    high: float

    def x(self, rows: float) -> float:
        share = math.log(rows / self.fewest) / math.log(self.most / self.fewest)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * share

    def y(self, loss: float) -> float:
        share = (loss - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share


def learning_chart(curve: Curve) -> str:
    """The measured losses with their intervals, the curve through them, and what it foretells."""
    most = curve.rows[-1]
    size_S = np.geomspace(curve.rows[0], most * TIMES[-1], _STEPS)
    best_S, low_S, high_S = _band(curve, size_S)
    ends = [*low_S, *high_S, *(p.low for p in curve.points), *(p.high for p in curve.points)]
    ticks = ticks_between(min(ends), max(ends))
    frame = _Frame(size_S[0] / 1.2, size_S[-1] * 1.1, ticks[0], ticks[-1])
    law = list(zip(size_S, best_S, strict=True))
    around = [*zip(size_S, high_S, strict=True), *reversed(list(zip(size_S, low_S, strict=True)))]
    parts = [
        *_axes(frame, ticks, curve),
        f'<polygon class="band" points="{_path(frame, around)}"/>',
        f'<polyline class="law" points="{_path(frame, [p for p in law if p[0] <= most])}"/>',
        f'<polyline class="law ahead" points="{_path(frame, [p for p in law if p[0] >= most])}"/>',
        *_measured(frame, curve),
    ]
    label = "Held-out loss over rows trained on, measured and foretold"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{label}"><style>{_STYLE}</style>'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _band(curve: Curve, size_S: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    """The curve, and the interval of its distance from the loss with all rows, at each size."""
    tail = 100 * (1 - CONFIDENCE) / 2
    best, low, high = [], [], []
    for size in size_S:
        fall = _fall(curve, curve.best, size)[0]
        draws_B = _fall(curve, curve.resampled, size)
        least, most = np.percentile(draws_B, [tail, 100 - tail])
        best.append(curve.loss - float(fall))
        low.append(curve.loss - max(float(most), float(fall)))
        high.append(curve.loss - min(float(least), float(fall)))
    return best, low, high


def _fall(curve: Curve, laws: PowerLaws, size: float) -> np.ndarray:
    return laws.at(curve.rows[-1]) - laws.at(float(size))


def _axes(frame: _Frame, ticks: Sequence[float], curve: Curve) -> Iterator[str]:
    for tick in ticks:
        y = frame.y(tick)
        yield (
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.6g}</text>'
        )
    sizes = [*curve.rows, *(times * curve.rows[-1] for times in TIMES)]
    for size in sizes:
        yield (
            f'<text x="{frame.x(size):.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">'
            f"{size:,}</text>"
        )
    yield (
        f'<text x="{_LEFT - 46}" y="20">held-out loss, nats per token</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 10}" text-anchor="end">rows trained on</text>'
    )


def _measured(frame: _Frame, curve: Curve) -> Iterator[str]:
    for rows, point in zip(curve.rows, curve.points, strict=True):
        x = f"{frame.x(rows):.1f}"
        yield (
            f'<line class="error" x1="{x}" x2="{x}" y1="{frame.y(point.low):.1f}" '
            f'y2="{frame.y(point.high):.1f}"/>'
            f'<circle class="point" cx="{x}" cy="{frame.y(point.value):.1f}" r="4"/>'
        )


def _path(frame: _Frame, points: Sequence[Point]) -> str:
    return " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
