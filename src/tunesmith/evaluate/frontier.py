"""The gain/retention frontier: what a tuned model gains and loses at each strength.

Gain is the base's loss minus the model's on the rows that choose, which never judge. Forgetting is
how much more general text costs, as a share of what it cost the base; of several files of probes
the worst counts. All strengths are bootstrapped with the same draws, so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Interval, paired_change
from tunesmith.evaluate.judgement import MINIMUM_ROWS
from tunesmith.evaluate.pairing import pair_files, pair_scores, unit_of
from tunesmith.evaluate.strengths import AtStrength, Frontier
from tunesmith.evaluate.wording import number, percent

NO_GAIN = Interval(0.0, 0.0, 0.0, 0)
"""Of a model that was measured on no row."""


@dataclass(frozen=True, slots=True)
class Point:
    """One strength: what is gained (in the unit of the rows), and the share forgotten of `file`."""

    strength: float
    gain: Interval
    forgetting: Interval
    file: str

    def within(self, most: float) -> bool:
        """Whether the whole interval of what is forgotten is at most `most`."""
        return self.strength == 0 or self.forgetting.high <= most


def frontier_points(measured: Sequence[AtStrength], seed: int) -> list[Point]:
    """The frontier, from measurements in ascending order that begin with strength 0."""
    base = measured[0]
    return [_point(base, each, derive(seed, "bootstrap", "frontier")) for each in measured]


def strength_for(points: Sequence[Point], most: float) -> float:
    """The strength that gains most of those that forget at most the share `most`.

    Of equal gains the larger strength. It is 0 where every other forgets more: nothing is gained
    then, and nothing lost.
    """
    allowed = [point for point in points if point.within(most)]
    return max(allowed, key=lambda point: (point.gain.value, point.strength)).strength


def frontier_detail(frontier: Frontier, seed: int) -> dict[str, Any]:
    """The frontier as it stands in verdict.json."""
    points = frontier_points(frontier.measured, seed)
    return {
        "summary": frontier_summary(points, frontier),
        "unit": _unit(frontier.measured[0]),
        "most_forgetting": frontier.most_forgetting,
        "strength": frontier.saved,
        "points": [asdict(point) for point in points],
    }


def frontier_summary(points: Sequence[Point], frontier: Frontier) -> str:
    """What the saved strength keeps of the gain, and what it forgets."""
    whole, saved = points[-1], _at(points, frontier.saved)
    unit = _unit(frontier.measured[0])
    gain = f"at strength {number(saved.strength)} the model gains {number(saved.gain.value)} {unit}"
    if saved.strength != whole.strength and whole.gain.value > 0:
        gain = f"{gain} of the {number(whole.gain.value)} at full strength"
    lost = f"general text costs {percent(saved.forgetting.value)} more"
    if saved.forgetting.value < 0:
        lost = f"general text costs {percent(-saved.forgetting.value)} less"
    if frontier.most_forgetting is None:
        return f"{gain}; {lost}"
    if not saved.strength:
        return (
            f"at no strength does the model gain anything and forget at most "
            f"{percent(frontier.most_forgetting)}, so it was saved at strength 0 and changes "
            "nothing"
        )
    return (
        f"{gain}; {lost} (95 % interval up to {percent(saved.forgetting.high)}, allowed "
        f"{percent(frontier.most_forgetting)})"
    )


def _unit(base: AtStrength) -> str:
    """Of the gain."""
    return unit_of(base.choosing)


def _at(points: Sequence[Point], strength: float) -> Point:
    return next(point for point in points if point.strength == strength)


def _point(base: AtStrength, other: AtStrength, seed: int) -> Point:
    rows = pair_scores(base.choosing, other.choosing, _unit(base))
    change = paired_change(rows, seed) if len(rows) else NO_GAIN
    gain = Interval(0.0 - change.value, 0.0 - change.high, 0.0 - change.low, change.n)
    shares = {}
    unit = unit_of(base.probes)
    for path, pairs in pair_files(base.probes, other.probes, unit).items():
        found = paired_change(pairs, seed)
        shares[path] = Interval(
            found.value / pairs.base, found.low / pairs.base, found.high / pairs.base, found.n
        )
    file = max(shares, key=lambda path: (shares[path].n >= MINIMUM_ROWS, shares[path].high))
    return Point(other.strength, gain, shares[file], file)
