"""Measuring through the ports, and both ways to JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from tunesmith.core.errors import DataError, NonFiniteLoss
from tunesmith.core.records import Origin, Score
from tunesmith.evaluate.measure import Measured, Parity, Side, measure, parity
from tunesmith.evaluate.pairing import (
    BITS_PER_BYTE,
    NATS_PER_TOKEN,
    pair_answers,
    pair_properties,
    pair_scores,
    unit_of,
)

Make = Callable[..., Any]


def test_a_side_is_measured_through_the_ports(
    scorer: Any, sampler: Make, tokens: Make, prompt: Make
) -> None:
    asked = sampler([" Yes. ", "No."])
    side = measure(
        scorer,
        asked,
        held_out=[tokens(1, 3.0), tokens(2, 4.0)],
        train_sample=[tokens(3, 1.0)],
        probes=[],
        prompts=[prompt(1), prompt(2)],
        check=lambda prompt, answer: {"short": len(answer) < 5},
        max_new_tokens=12,
    )
    assert [score.nll for score in side.held_out] == [3.0, 4.0]
    assert [score.nll for score in side.train] == [1.0]
    assert side.probes == ()
    assert [answer.exact for answer in side.answers] == [True, False]
    assert [answer.properties for answer in side.answers] == [{"short": False}, {"short": True}]
    assert asked.asked == [(12, 0.0)]


def test_without_prompts_nothing_is_generated(scorer: Any, sampler: Make, tokens: Make) -> None:
    asked = sampler([])
    assert measure(scorer, asked, [tokens(1, 2.0)], [], [], []).answers == ()
    assert asked.asked == []


def test_a_loss_that_is_not_a_number_names_the_row(
    scorer: Any, sampler: Make, tokens: Make
) -> None:
    with pytest.raises(NonFiniteLoss, match=r"for 1 of 2 rows, first rows\.jsonl:2"):
        measure(scorer, sampler([]), [tokens(1, 2.0), tokens(2, math.nan)], [], [], [])


def test_a_side_comes_back_from_json(scores: Make, answers: Make) -> None:
    side = Side(scores(2.0), scores(1.0), scores(1.5), answers({"a": [True] * 40, "b": [0.5] * 40}))
    back = Side.from_json(json.loads(json.dumps(side.to_json())))
    assert back == side
    assert back.answers[0].properties["a"] is True


def test_what_was_measured_comes_back_from_json(measured: Make, course: Make) -> None:
    found = measured(course=course([1.4, 1.3, 1.5], 20, 100), parity=Parity(1e-7, 40, 3, 3))
    assert Measured.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert Measured.from_json(json.loads(json.dumps(Measured().to_json()))) == Measured()


def test_parity_is_the_largest_difference_of_a_row_per_token() -> None:
    first = [Score(Origin("a", 1), 4.0, 2.0, 9), Score(Origin("a", 2), 6.0, 3.0, 9)]
    second = [Score(Origin("a", 1), 4.0, 2.0, 9), Score(Origin("a", 2), 5.7, 3.0, 9)]
    found = parity(first, second, same_prefixes=2, prefixes=2)
    assert found.max_difference == pytest.approx(0.1)
    assert found.rows == 2


def test_pieces_of_one_document_are_one_row() -> None:
    pieces = [Score(Origin("a", 1), 1.0, 2.0, 4), Score(Origin("a", 1), 3.0, 2.0, 4)]
    rows = pair_scores(pieces, pieces, NATS_PER_TOKEN)
    assert len(rows) == 1
    assert rows.base == pytest.approx(1.0)


def test_bits_per_byte_need_bytes_in_every_row(scores: Make) -> None:
    found = scores(1.5, spread=0.0)
    assert unit_of(found) == BITS_PER_BYTE
    assert pair_scores(found, found, BITS_PER_BYTE).base == pytest.approx(1.5)
    assert unit_of(found, [Score(Origin("a", 1), 1.0, 2.0, 0)]) == NATS_PER_TOKEN


def test_other_rows_on_one_side_are_refused(scores: Make, answers: Make) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:1 against other\.jsonl:1"):
        pair_scores(scores(2.0), scores(1.0, file="other.jsonl"), BITS_PER_BYTE)
    with pytest.raises(DataError, match=r"one side has fewer rows"):
        pair_answers(answers({}), answers({}, rows=39))


def test_a_property_is_compared_where_both_answers_have_it(answers: Make) -> None:
    base = answers({"a": [False] * 40, "c": [True] * 40})
    tuned = answers({"a": [True] * 40, "b": [True] * 40})
    found = pair_properties(pair_answers(base, tuned))
    assert [(one.name, one.rows.base, one.rows.tuned, one.rate) for one in found] == [
        ("a", 0.0, 1.0, True)
    ]
