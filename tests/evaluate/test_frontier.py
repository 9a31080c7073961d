"""Gain against loss by strength of the adapter, and the strength that a limit allows."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tunesmith.core.records import Origin, Score
from tunesmith.evaluate.frontier import frontier_detail, frontier_points, strength_for
from tunesmith.evaluate.kept import kept
from tunesmith.evaluate.measure import Measured, Side
from tunesmith.evaluate.strengths import AtStrength, Frontier


def _scores(bits: float, file: str, rows: int = 30, spread: float = 0.0) -> tuple[Score, ...]:
    """Rows of 100 bytes; with `spread` some rows move more than others."""
    draw = np.random.default_rng(3).normal(size=rows)
    return tuple(
        Score(Origin(file, line), 100 * (bits + spread * draw[line - 1]) * math.log(2), 25, 100)
        for line in range(1, rows + 1)
    )


def _measured(
    gains: Sequence[float], losses: Sequence[float], spread: float = 0.0
) -> tuple[AtStrength, ...]:
    """Strengths evenly from 0 to 1; the base needs 3 bits on the task and 2 on general text."""
    return tuple(
        AtStrength(
            place / (len(gains) - 1),
            _scores(3 - gain, "rows"),
            _scores(2 * (1 + loss), "probes", spread=spread * (place > 0)),
        )
        for place, (gain, loss) in enumerate(zip(gains, losses, strict=True))
    )


FIVE = _measured((0, 0.8, 1.3, 1.5, 1.6), (0, 0.01, 0.04, 0.12, 0.3))


def test_gain_and_loss_are_those_of_the_rows() -> None:
    points = frontier_points(FIVE, seed=0)
    assert [point.strength for point in points] == [0, 0.25, 0.5, 0.75, 1]
    assert [point.gain.value for point in points] == pytest.approx([0, 0.8, 1.3, 1.5, 1.6])
    assert [p.forgetting.value for p in points] == pytest.approx([0, 0.01, 0.04, 0.12, 0.3])


@pytest.mark.parametrize(
    ("most", "strength"), [(0.0, 0.0), (0.02, 0.25), (0.05, 0.5), (0.2, 0.75), (1.0, 1.0)]
)
def test_the_limit_chooses_the_strength_that_gains_most_within_it(
    most: float, strength: float
) -> None:
    assert strength_for(frontier_points(FIVE, 0), most) == strength


def test_of_those_within_the_limit_the_one_that_gains_most_is_taken() -> None:
    overfit = _measured((0, 1.0, 1.4, 1.2, 0.9), (0, 0, 0, 0, 0))
    assert strength_for(frontier_points(overfit, 0), 0.1) == 0.5


def test_the_whole_interval_must_be_within_the_limit() -> None:
    shaky = _measured((0, 1.0), (0, 0.04), spread=0.3)
    (_, point) = frontier_points(shaky, 0)
    assert point.forgetting.value < 0.1 < point.forgetting.high
    assert strength_for([frontier_points(shaky, 0)[0], point], 0.1) == 0


def test_the_worst_file_of_probes_counts() -> None:
    two = tuple(
        replace(each, probes=each.probes + _scores(1 + 0.5 * each.strength, "mine.jsonl"))
        for each in FIVE
    )
    points = frontier_points(two, 0)
    assert points[-1].file == "mine.jsonl"
    assert points[-1].forgetting.value == pytest.approx(0.5)
    assert strength_for(points, 0.2) == 0.25


def test_without_rows_that_choose_the_largest_strength_within_the_limit_is_taken() -> None:
    bare = tuple(replace(each, choosing=()) for each in FIVE)
    assert strength_for(frontier_points(bare, 0), 0.05) == 0.5


def test_the_verdict_tells_the_frontier_in_plain_words() -> None:
    side = Side(probes=FIVE[0].probes)
    measured = Measured(side, side, frontier=Frontier(FIVE, 0.05, 0.5))
    found = kept(measured).detail["frontier"]
    assert found["summary"] == (
        "at strength 0.50 the model gains 1.30 bits per byte of the 1.60 at full strength; "
        "general text costs 4 % more (95 % interval up to 4 %, allowed 5 %)"
    )
    assert len(found["points"]) == 5
    assert Measured.from_json(json.loads(json.dumps(measured.to_json()))) == measured
    nothing = frontier_detail(Frontier(FIVE, 0.0, 0.0), 0)["summary"]
    assert "saved at strength 0 and changes nothing" in nothing
    untouched = frontier_detail(Frontier(FIVE), 0)["summary"]
    assert untouched == (
        "at strength 1 the model gains 1.60 bits per byte; general text costs 30 % more"
    )
