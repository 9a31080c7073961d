"""How answers differ between two sides, what can fail a run, and the noise of measuring twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sacrebleu.metrics import CHRF

from tunesmith.core.records import Score
from tunesmith.evaluate.answers import answer_changes, worse
from tunesmith.evaluate.measure import Answered, Grading, Measured, Noise, Side, measure
from tunesmith.evaluate.questions import learned

Make = Callable[..., Any]
TEXT = "The parcel {} is on its way to you and should be there by noon."


def answered(answers: Make, texts: Sequence[str], **properties: Sequence[Any]) -> list[Answered]:
    """Answers to questions whose references are numbered sentences."""
    rows = answers({name.replace("_", " "): list(v) for name, v in properties.items()}, 0, 40)
    return [replace(row, reference=TEXT.format(i), answer=texts[i]) for i, row in enumerate(rows)]


def with_answers(measured: Measured, base: Any, tuned: Any, grading: Grading) -> Measured:
    assert measured.base is not None
    assert measured.tuned is not None
    sides = [replace(measured.base, answers=base), replace(measured.tuned, answers=tuned)]
    return replace(measured, base=sides[0], tuned=sides[1], grading=grading)


GOOD = [TEXT.format(i) for i in range(40)]
POOR = [f"No parcel {i}." for i in range(40)]


def test_numbers_of_all_answers_stand_beside_those_of_each(answers: Make) -> None:
    grading = Grading(("chrf", "length_ratio"), "free text", {"polite": "(?i)please"})
    base = answered(answers, POOR, length_ratio=[0.2] * 40, polite=[False] * 40, mine=[1.0] * 40)
    tuned = answered(answers, GOOD, length_ratio=[1.0] * 40, polite=[True] * 40, mine=[2.0] * 40)
    found = answer_changes(base, tuned, grading, 0)
    kinds = [(each["key"], each["kind"], each["margin"]) for each in found["properties"]]
    assert kinds == [
        ("chrf", "corpus", 5.0),
        ("length_ratio", "mean", None),
        ("polite", "rate", 0.0),
        ("mine", "mean", None),
    ]
    chrf, _, polite, mine = found["properties"]
    theirs = CHRF().corpus_score(POOR, [GOOD]).score
    assert (chrf["base"], chrf["tuned"]) == pytest.approx((theirs, 100))
    assert chrf["low"] < chrf["change"] < chrf["high"]
    assert chrf["definition"].startswith("chrF2 over all rows together")
    assert polite["definition"] == "The share of answers in which `(?i)please` is found."
    assert mine["definition"].startswith("What your check said")
    assert found["exact_match"]["key"] == "exact_match"
    assert found["exact_match"]["low"] < 0 < found["exact_match"]["high"]
    json.dumps(found, allow_nan=False)


def test_wording_may_fall_by_its_margin_and_no_further(measured: Make, answers: Make) -> None:
    grading = Grading(("chrf",), "free text")
    near = [text.replace(" by noon", " about noon") for text in GOOD]
    words = [text.replace("The parcel", "This parcel") for text in GOOD]
    for tuned, lost in ((near, []), (POOR, ["chrF"])):
        sides = answered(answers, words), answered(answers, tuned)
        answer = learned(with_answers(measured(), *sides, grading))
        assert answer.detail["properties"][0]["high"] < 0
        assert answer.detail["worse"] == lost
        assert answer.passed is not bool(lost)


def test_exact_match_that_fell_is_worse(answers: Make) -> None:
    found = answer_changes(answers({}, exact=0.9), answers({}, exact=0.3), Grading(), 0)
    assert worse(found) == ["exact match"]


def test_the_verdict_says_what_was_chosen_and_why(measured: Make, answers: Make) -> None:
    grading = Grading(("rouge_l",), "held-out answers are free text")
    sides = answered(answers, POOR), answered(answers, GOOD)
    detail = learned(with_answers(measured(), *sides, grading)).detail
    assert detail["metrics"] == {"chosen": ["rouge_l"], "why": "held-out answers are free text"}


def noisy(measured: Measured, nats: float) -> Measured:
    """Both sides with this much noise a byte, in bits."""
    assert measured.base is not None
    assert measured.tuned is not None
    noise = Noise(nats * 0.6931471805599453 * 1000, 250, 1000, 8)
    sides = [replace(side, noise=noise) for side in (measured.base, measured.tuned)]
    return replace(measured, base=sides[0], tuned=sides[1])


def test_a_gain_within_the_noise_of_measuring_twice_never_passes(measured: Make) -> None:
    found = measured(held_out=(2.0, 1.9))
    assert learned(found).passed
    quiet, loud = learned(noisy(found, 0.01)), learned(noisy(found, 0.06))
    assert quiet.passed
    assert quiet.detail["noise_floor"]["value"] == pytest.approx(0.02)
    assert quiet.detail["noise_floor"]["rows"] == 16
    assert loud.passed is False
    assert "not clearly above the 0.12 of measuring twice" in loud.detail["summary"]


class WaveringScorer:
    """Says a tenth more of a row that stands alone."""

    def score(self, examples: Sequence[Any]) -> list[Score]:
        more = 0.1 if len(examples) == 1 else 0.0
        return [Score(e.origin, float(e.weights_N[-1]) + more, 2.0, 9) for e in examples]


def test_the_noise_is_measured_on_rows_scored_alone(sampler: Make, tokens: Make) -> None:
    rows = [tokens(line, 3.0 + line) for line in range(1, 6)]
    side = measure(WaveringScorer(), sampler([]), rows, [], [], [], twice=3)
    assert side.noise is not None
    assert side.noise.nats == pytest.approx(0.3)
    assert (side.noise.count, side.noise.bytes, side.noise.rows) == (6.0, 27, 3)
    assert Side.from_json(json.loads(json.dumps(side.to_json()))) == side
    assert measure(WaveringScorer(), sampler([]), rows, [], [], []).noise is None


def test_what_was_graded_comes_back_from_json(measured: Make) -> None:
    found = replace(noisy(measured(), 0.01), grading=Grading(("chrf",), "why", {"a": "b"}))
    written = json.loads(json.dumps(found.to_json()))
    assert Measured.from_json(written) == found
    del written["grading"]
    del written["base"]["noise"]
    assert Measured.from_json(written).grading == Grading()
