"""Each rule of the verdict, on numbers that break it and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tunesmith.core.errors import DataError
from tunesmith.evaluate.judgement import MINIMUM_ROWS, Judgement
from tunesmith.evaluate.kept import KEPT_LIMIT, kept
from tunesmith.evaluate.measure import Measured, Parity, Side
from tunesmith.evaluate.probes import GENERAL
from tunesmith.evaluate.questions import (
    MEMORISED_LIMIT,
    learned,
    memorised,
    served,
)
from tunesmith.evaluate.verdict import judge
from tunesmith.evaluate.wording import course_sentence, number, percent

Make = Callable[..., Any]
KEYS = ["decision", "sentence", "learned", "kept", "memorised", "worth", "parity"]
ANSWER_KEYS = ["pass", "value", "low", "high", "unit", "n", "detail"]


def with_answers(measured: Measured, base: Any, tuned: Any) -> Measured:
    assert measured.base is not None
    assert measured.tuned is not None
    return replace(
        measured,
        base=replace(measured.base, answers=base),
        tuned=replace(measured.tuned, answers=tuned),
    )


def failing(measured: Measured) -> list[str]:
    found = judge(measured).to_json()
    return [key for key in KEYS[2:] if found[key]["pass"] is False]


def test_a_good_run_ships_with_a_sentence_that_carries_the_numbers(
    measured: Make, answers: Make
) -> None:
    base = answers({"greeting": [False] * 40})
    tuned = answers({"greeting": [True] * 39 + [False]})
    verdict = judge(with_answers(measured(parity=Parity(2e-7, 40, 40, 40)), base, tuned))
    assert verdict.decision == "ship"
    assert verdict.sentence == (
        "Ship: on 40 held-out rows the tuned model needs 0.80 bits per byte where the base needed "
        "1.99 (improvement 1.19, 95 % interval 1.18 to 1.21); greeting went from 0 % to 98 %; "
        "general text costs 0.05 bits per byte more (limit 0.15)."
    )


def test_the_keys_of_the_file_are_kept(measured: Make) -> None:
    found = json.loads(json.dumps(judge(measured()).to_json(), allow_nan=False))
    assert list(found) == KEYS
    assert all(list(found[key]) == ANSWER_KEYS for key in KEYS[2:])


def test_no_gain_on_held_out_rows_holds(measured: Make) -> None:
    found = measured(held_out=(2.0, 2.05), train=(2.0, 2.0))
    verdict = judge(found)
    assert failing(found) == ["learned"]
    assert verdict.decision == "hold"
    assert verdict.sentence.startswith("Hold: on 40 held-out rows")
    assert "which is worse" in verdict.sentence


def test_a_gain_within_the_noise_does_not_pass(measured: Make, scores: Make) -> None:
    found = measured()
    shaken = scores(1.99, spread=0.3)[::-1]
    tuned = tuple(
        replace(score, nll=other.nll / other.bytes * score.bytes)
        for score, other in zip(found.base.held_out, shaken, strict=True)
    )
    answer = learned(replace(found, tuned=replace(found.tuned, held_out=tuned)))
    assert answer.low is not None
    assert answer.high is not None
    assert answer.low < 0 < answer.high
    assert answer.passed is False


def test_a_property_that_got_rarer_holds(measured: Make, answers: Make) -> None:
    before, after = [True] * 40, [True] * 25 + [False] * 15
    found = with_answers(measured(), answers({"polite": before}), answers({"polite": after}))
    assert failing(found) == ["learned"]
    assert "polite got worse" in judge(found).sentence


def test_a_property_that_fell_within_the_noise_does_not_hold(measured: Make, answers: Make) -> None:
    before, after = [True] * 40, [True] * 39 + [False]
    found = with_answers(measured(), answers({"polite": before}), answers({"polite": after}))
    assert judge(found).decision == "ship"


def test_a_number_that_fell_has_no_known_direction(measured: Make, answers: Make) -> None:
    before, after = [90.0] * 40, [40.0] * 40
    found = with_answers(measured(), answers({"words": before}), answers({"words": after}))
    assert judge(found).decision == "ship"
    assert judge(found).learned.detail["properties"][0]["change"] == pytest.approx(-50)


def test_many_properties_are_told_as_an_average(measured: Make, answers: Make) -> None:
    names = ["a", "b", "c", "d"]
    base = answers({name: [False] * 40 for name in names})
    tuned = answers({name: [True] * 40 for name in names})
    sentence = judge(with_answers(measured(), base, tuned)).sentence
    assert "the 4 checked properties went from 0 % to 100 % on average" in sentence


def test_the_values_are_base_minus_tuned_and_tuned_minus_base(measured: Make) -> None:
    found = measured(held_out=(2.0, 0.8), probes=(1.5, 1.56))
    task, general = learned(found), kept(found)
    assert task.value == pytest.approx(task.detail["base"] - task.detail["tuned"])
    assert task.value is not None
    assert task.value > 0
    assert general.value == pytest.approx(general.detail["tuned"] - general.detail["base"])
    assert (task.unit, general.unit, general.n) == ("bits per byte", "bits per byte", 40)


def test_forgetting_beyond_the_limit_holds(measured: Make) -> None:
    found = measured(probes=(1.5, 1.5 * (1 + KEPT_LIMIT) + 0.02))
    assert failing(found) == ["kept"]
    assert judge(found).sentence.startswith("Hold: general text costs 0.17 bits per byte more")
    assert "above the limit of 0.15" in judge(found).sentence


def test_forgetting_within_the_limit_passes(measured: Make) -> None:
    assert kept(measured(probes=(1.5, 1.5 * (1 + KEPT_LIMIT) - 0.02))).passed is True


def test_reading_general_text_better_than_before_passes(measured: Make) -> None:
    answer = kept(measured(probes=(1.5, 1.3)))
    assert answer.passed is True
    assert answer.detail["summary"] == "general text costs 0.20 bits per byte less"


def test_the_worst_file_of_probes_decides(measured: Make, scores: Make) -> None:
    found = measured(probes=(1.5, 1.5))
    own = [scores(loss, 20, "own.jsonl") for loss in (1.5, 1.9)]
    base = replace(found.base, probes=found.base.probes + own[0])
    tuned = replace(found.tuned, probes=found.tuned.probes + own[1])
    answer = kept(replace(found, base=base, tuned=tuned))
    assert answer.passed is False
    assert answer.n == 20
    assert set(answer.detail["files"]) == {GENERAL, "own.jsonl"}


def test_a_file_with_too_few_probes_does_not_decide(measured: Make, scores: Make) -> None:
    found = measured(probes=(1.5, 1.5))
    own = [scores(loss, 3, "own.jsonl") for loss in (1.5, 1.9)]
    base = replace(found.base, probes=found.base.probes + own[0])
    tuned = replace(found.tuned, probes=found.tuned.probes + own[1])
    assert kept(replace(found, base=base, tuned=tuned)).passed is True


def test_other_probes_on_one_side_are_refused(measured: Make) -> None:
    found = measured()
    fewer = replace(found.tuned, probes=found.tuned.probes[1:])
    with pytest.raises(DataError, match="The base was measured on other rows"):
        judge(replace(found, tuned=fewer))


def test_a_gain_that_stays_on_trained_rows_holds(measured: Make) -> None:
    train_gain, carried = 1.6, MEMORISED_LIMIT - 0.1
    found = measured(held_out=(2.0, 2.0 - carried * train_gain), train=(2.0, 2.0 - train_gain))
    assert failing(found) == ["memorised"]
    assert "40 % of the gain on trained rows carries over" in judge(found).sentence


def test_a_gain_that_mostly_carries_over_passes(measured: Make) -> None:
    answer = memorised(measured(held_out=(2.0, 0.8), train=(2.0, 0.5)))
    assert answer.passed is True
    assert answer.value == pytest.approx(0.3, abs=0.02)
    assert answer.detail["limit"] == pytest.approx(MEMORISED_LIMIT * 1.5, rel=0.05)


def test_the_gap_that_the_base_already_had_is_taken_away(measured: Make) -> None:
    answer = memorised(measured(held_out=(3.0, 2.0), train=(1.5, 0.5)))
    assert answer.value == pytest.approx(0.0, abs=0.05)
    assert answer.passed is True


def test_without_a_gain_nothing_was_memorised(measured: Make) -> None:
    answer = memorised(measured(held_out=(2.0, 2.1), train=(2.0, 2.02)))
    assert answer.passed is True
    assert "nothing was memorised" in answer.detail["summary"]


@pytest.mark.parametrize(
    ("parity", "passed"),
    [
        (Parity(9e-4, 40, 40, 40), True),
        (Parity(2e-3, 40, 40, 40), False),
        (Parity(0.0, 40, 39, 40), False),
        (Parity(2e-3, 40, 40, 40, tolerance=1e-2), True),
    ],
)
def test_parity_needs_equal_losses_and_equal_prompts(
    measured: Make, parity: Parity, passed: bool
) -> None:
    found = measured(parity=parity)
    assert served(found).passed is passed
    assert judge(found).decision == ("ship" if passed else "hold")


def test_an_unmeasured_question_does_not_hold(measured: Make) -> None:
    found = measured()
    verdict = judge(
        replace(
            found,
            base=replace(found.base, probes=(), train=()),
            tuned=replace(found.tuned, probes=(), train=()),
        )
    )
    assert verdict.decision == "ship"
    assert [answer.passed for answer in verdict.questions] == [True, None, None, None, None]


def test_worth_says_that_it_was_not_measured(measured: Make) -> None:
    answer = judge(measured()).worth
    assert (answer.passed, answer.value) == (None, None)
    assert answer.detail["summary"].startswith("it was not compared with the same base")


def test_nothing_measured_holds_and_says_so() -> None:
    for nothing in (Measured(), Measured(Side(), Side())):
        verdict = judge(nothing)
        assert verdict.decision == "hold"
        assert verdict.sentence.startswith("Hold: nothing was measured")
        assert [answer.passed for answer in verdict.questions] == [None] * 5


def test_parity_alone_is_no_reason_to_ship() -> None:
    assert judge(Measured(parity=Parity(0.0, 40, 40, 40))).decision == "hold"


def test_too_few_rows_are_not_judged(measured: Make) -> None:
    verdict = judge(measured(rows=MINIMUM_ROWS - 1))
    assert verdict.learned.passed is None
    assert verdict.learned.value is not None
    assert verdict.decision == "hold"
    assert "too few rows to judge (7 rows measured, at least 8 needed)" in verdict.sentence
    assert judge(measured(rows=MINIMUM_ROWS)).learned.passed is True


def test_one_seed_gives_one_verdict(measured: Make) -> None:
    assert judge(measured(), 3) == judge(measured(), 3)
    assert judge(measured(), 3) != judge(measured(), 4)


def test_a_judgement_starts_unmeasured() -> None:
    assert Judgement().to_json()["pass"] is None


@pytest.mark.parametrize(
    ("losses", "kept_step", "planned", "sentence"),
    [
        (
            [1.4, 1.31, 1.38],
            20,
            100,
            "Stopped at epoch 1.50 of 5: held-out loss rose from 1.31 to 1.38 nats per token; "
            "the weights of step 20 were kept.",
        ),
        (
            [1.4, 1.31, 1.38],
            30,
            30,
            "After step 20 held-out loss rose from 1.31 to 1.38 nats per token; the weights of "
            "step 30 were kept.",
        ),
        (
            [1.4, 1.31],
            20,
            20,
            "Held-out loss was lowest at the last measurement (step 20, 1.31 nats per token); the "
            "weights of step 20 were kept.",
        ),
        ([], 0, 10, "Held-out loss was not measured during training; the last weights were kept."),
    ],
)
def test_the_course_of_the_training_is_told(
    course: Make, losses: list[float], kept_step: int, planned: int, sentence: str
) -> None:
    assert course_sentence(course(losses, kept_step, planned)) == sentence


def test_weights_chosen_on_the_judged_rows_are_told(course: Make) -> None:
    told = course_sentence(replace(course([1.4, 1.31], 20, 20), chosen_on_judged=True))
    assert told.endswith("so the judged loss is slightly too good.")


def test_numbers_are_written_for_reading() -> None:
    assert [number(value) for value in (3.0, 0.051, -0.25, 0.00312, 130.75)] == [
        "3",
        "0.05",
        "-0.25",
        "0.0031",
        "130.8",
    ]
    assert [percent(value) for value in (0.0, 0.004, 0.5, 0.996, 1.0)] == [
        "0 %",
        "0.4 %",
        "50 %",
        "99.6 %",
        "100 %",
    ]


def test_replayed_text_does_not_hide_rows_learned_by_heart(measured: Make, scores: Make) -> None:
    """Replayed rows are known: mixed in, they would make the gain on trained rows vanish."""
    found = measured(held_out=(2.0, 1.7), train=(2.0, 0.3))
    replay = [scores(0.9, 200, "replay.jsonl"), scores(0.88, 200, "replay.jsonl")]
    sides = [
        replace(side, train=(*side.train, *known))
        for side, known in zip(found.sides, replay, strict=True)
    ]
    mixed = memorised(replace(found, base=sides[0], tuned=sides[1]))
    assert mixed.passed is False
    assert mixed.value == pytest.approx(memorised(found).value)
    assert mixed.detail["files"] == ["train.jsonl"]


def test_trained_files_count_together_where_held_out_rows_are_of_them(
    measured: Make, scores: Make
) -> None:
    found = measured()
    sides = [
        replace(side, train=(*side.train, *scores(loss, 40, "rows.jsonl")))
        for side, loss in zip(found.sides, (0.9, 0.8), strict=True)
    ]
    together = memorised(replace(found, base=sides[0], tuned=sides[1]))
    assert together.detail["files"] == ["train.jsonl", "rows.jsonl"]
    assert together.detail["train"]["n"] == 80


def test_a_loss_on_held_out_rows_is_called_one(measured: Make) -> None:
    """0 % of a gain of 0.3 of which 0.5 does not carry over would be no sentence."""
    found = measured(held_out=(2.0, 2.2), train=(2.0, 1.7))
    assert "which is worse" in learned(found).detail["summary"]
    said = memorised(found).detail["summary"]
    assert said.startswith("nothing of the 0.30 bits per byte gained on trained rows carries over")
    assert "(their distance grew by 0.50, 95 % interval " in said
