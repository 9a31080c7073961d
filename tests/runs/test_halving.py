"""Successive halving by itself: rungs, candidates, and how many fit."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tunesmith.runs.halving import (
    FEWEST,
    MOST,
    RATES,
    Candidate,
    Rung,
    as_many_as_fit,
    draw,
    foretold,
    going_on,
    rungs_of,
)

ASKED = Candidate(0, 1e-3, 16, 4)


def _seconds(candidate: Candidate, share: float) -> float:
    """Ten seconds around each trial, ten an epoch."""
    return 10 + 10 * candidate.epochs * share


@pytest.mark.parametrize(
    ("count", "rungs"),
    [
        (3, [Rung(1 / 3, 3), Rung(1, 1)]),
        (8, [Rung(1 / 3, 8), Rung(1, 3)]),
        (9, [Rung(1 / 9, 9), Rung(1 / 3, 3), Rung(1, 1)]),
        (27, [Rung(1 / 9, 27), Rung(1 / 3, 9), Rung(1, 3)]),
    ],
)
def test_a_third_goes_on_for_three_times_as_long(count: int, rungs: list[Rung]) -> None:
    assert rungs_of(count) == rungs


def test_candidates_cover_what_is_tried_and_begin_with_what_was_asked() -> None:
    drawn = draw(ASKED, 16, seed=1)
    assert drawn[0] == ASKED
    rates = sorted(each.learning_rate for each in drawn[1:])
    assert rates[0] == pytest.approx(1e-3 / RATES, rel=0.2)
    assert rates[-1] == pytest.approx(1e-3 * RATES, rel=0.2)
    steps = [high / low for low, high in pairwise(rates)]
    assert max(steps) / min(steps) < 1.05, "evenly apart"
    assert {each.epochs for each in drawn} == {2, 4, 8}
    assert {each.rank for each in drawn} == {4, 8, 16, 32, 64}
    assert drawn == draw(ASKED, 16, seed=1)
    assert {each.rank for each in draw(Candidate(0, 1e-3, None, 1), 9, 0)} == {None}


def test_as_many_are_tried_as_fit() -> None:
    for budget in (300.0, 600.0, 900.0):
        fit = as_many_as_fit(ASKED, 0, _seconds, budget)
        assert foretold(fit, _seconds) <= budget
        assert foretold(draw(ASKED, len(fit) + 1, 0), _seconds) > budget
    assert len(as_many_as_fit(ASKED, 0, _seconds, 1.0)) == FEWEST
    assert len(as_many_as_fit(ASKED, 0, _seconds, 1e9)) == MOST


def test_what_was_asked_goes_on_in_any_case() -> None:
    ranked = [Candidate(number, 1e-3, 8, 1) for number in (3, 2, 0, 1)]
    assert [each.number for each in going_on(ranked, 1)] == [3, 0]
    assert [each.number for each in going_on(ranked, 3)] == [3, 2, 0]
