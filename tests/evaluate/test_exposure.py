"""Exposure of planted secrets: ranks, bits, what is said of them, and that a trial never ships."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tunesmith.core.records import Canary, Origin, Prompt, Score, Tokens
from tunesmith.evaluate.exposed import Exposed, measure_exposure
from tunesmith.evaluate.exposure import BY_CHANCE, exposure
from tunesmith.evaluate.measure import Measured
from tunesmith.evaluate.readings import remarks_of
from tunesmith.evaluate.tables import tables_of
from tunesmith.evaluate.verdict import judge

Make = Callable[..., Any]


def _canary(make: Make, own: float, others: Sequence[float], number: int = 1) -> Canary:
    prompt = Prompt(Origin("canary", number), (), np.array([1], np.int32), "1-2-3")
    alternatives = tuple(make(number, nats) for nats in others)
    return Canary(prompt.origin, 4, "1-2-3", make(number, own), alternatives, prompt)


@pytest.mark.parametrize(
    ("own", "rank", "bits"),
    [(0.5, 1, 3.0), (3.5, 4, 1.0), (9.0, 8, 0.0), (3.0, 4, 1.0)],
    ids=["likeliest", "in the middle", "last", "as likely as another"],
)
def test_exposure_is_the_rank_among_random_secrets(
    tokens: Make, scorer: Any, sampler: Make, own: float, rank: int, bits: float
) -> None:
    canary = _canary(tokens, own, [1, 2, 3, 4, 5, 6, 7])
    (found,) = measure_exposure(scorer, sampler(["It is 1-2-3."]), [canary])
    assert (found.rank, found.ranked, found.bits) == (rank, 8, pytest.approx(bits))
    assert found.recalled


def test_another_code_is_no_recall(tokens: Make, scorer: Any, sampler: Make) -> None:
    (found,) = measure_exposure(scorer, sampler(["1-2-4"]), [_canary(tokens, 1, [2])])
    assert not found.recalled


def test_without_canaries_nothing_is_asked(scorer: Any, sampler: Make) -> None:
    asked = sampler([])
    assert measure_exposure(scorer, asked, []) == ()
    assert not asked.asked


def test_a_secret_never_met_has_the_exposure_of_chance(tokens: Make, sampler: Make) -> None:
    class Guessing:
        random = np.random.default_rng(0)

        def score(self, examples: Sequence[Tokens]) -> list[Score]:
            return [Score(e.origin, self.random.random(), 1.0, 1) for e in examples]

    canaries = [_canary(tokens, 0, [0] * 255, n) for n in range(1, 401)]
    found = measure_exposure(Guessing(), sampler([""] * 400), canaries)
    assert np.mean([each.bits for each in found]) == pytest.approx(BY_CHANCE, abs=0.15)


FOUND = (
    *(Exposed(f"canary:{n}", 1, 100, 256, False) for n in (1, 2)),
    Exposed("canary:3", 4, 16, 256, False),
    Exposed("canary:4", 16, 1, 256, True),
    Exposed("canary:5", 0, 64, 256, False),
    Exposed("canary:6", 0, 128, 256, False),
)


def test_it_is_told_by_repetitions_with_its_meaning() -> None:
    told = exposure(FOUND)
    assert told is not None
    assert told["planted"] == 4
    assert told["recalled_from"] == 16
    assert [group["repeats"] for group in told["groups"]] == [0, 1, 4, 16]
    assert told["groups"][0]["bits"] == pytest.approx(1.5)
    said = told["summary"]
    assert "can be recalled from 16 times an epoch on" in said
    assert "seen once an epoch, 0 of 2 (exposure 1.36 bits)" in said
    assert "the 2 controls, which were never trained on, have 1.50" in said
    assert "at no number of repetitions" in exposure(FOUND[:2])["summary"]  # type: ignore[index]
    assert exposure(()) is None


def test_planted_secrets_are_never_shipped(measured: Make) -> None:
    good = measured()
    assert judge(good).decision == "ship"
    trial = judge(replace(good, exposed=FOUND))
    assert trial.decision == "hold"
    assert "trial run, for 4 planted secrets" in trial.sentence
    assert judge(replace(good, exposed=FOUND[-2:])).decision == "ship"  # controls only


def test_the_page_and_the_card_show_it(measured: Make) -> None:
    given = replace(measured(), exposed=FOUND)
    verdict = judge(given).to_json()
    assert any("1.44 is chance" in said for said in remarks_of(verdict["memorised"]["detail"]))
    table = tables_of(verdict, given)["memorised"][-1]
    assert table.rows[0][:3] == ["never (controls)", "2", "0"]
    assert table.rows[-1][:4] == ["16 × an epoch", "1", "1", "8 bits"]
    assert math.log2(256) == 8


def test_it_comes_back_from_json(measured: Make) -> None:
    given = replace(measured(), exposed=FOUND)
    assert Measured.from_json(given.to_json()) == given
    old = given.to_json()
    del old["exposed"]
    assert Measured.from_json(old).exposed == ()
