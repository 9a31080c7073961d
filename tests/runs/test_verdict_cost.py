"""What another evaluation would take, from what this one took."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tunesmith.evaluate.measure import Baseline, Cost, Measured, Side
from tunesmith.recipe import EvaluateSection
from tunesmith.runs.verdict_cost import There, Work, foretold, sentence, work_of

THERE = There(
    judging=400,
    choosing=200,
    trained=900,
    probes=(40,),
    asks=True,
    prompted=False,
    adapter=True,
)


def _asked(level: str, **fields: Any) -> EvaluateSection:
    chosen = {
        "quick": {"rows": 64, "examples": 0},
        "standard": {"rows": 256, "examples": 4},
        "full": {"rows": 1_000_000, "examples": 8},
        "none": {"rows": 64, "examples": 0},
    }[level]
    return EvaluateSection(level=level, **(chosen | {"max_new_tokens": 32} | fields))


def _measured(seconds: float = 0.5) -> Measured:
    """Base and tuned that took `seconds` an answer; two helps that took twice as long."""
    side = Side(cost=Cost(50, 20, seconds, 48))
    helped = Side(cost=Cost(250, 20, 2 * seconds, 8))
    baselines = (Baseline("examples", "4", helped), Baseline("search", "4", helped))
    return Measured(side, side, baselines=baselines)


def test_each_level_is_counted_as_it_is_measured() -> None:
    assert work_of(THERE, _asked("none")) == Work(0, 0, 0, 0, 0, 0)
    assert work_of(THERE, _asked("quick")) == Work(
        scored=2 * (64 + 64 + 40) + 64,
        answers=2 * 16,
        helped=0,
        helped_answers=0,
        sampled=0,
        strengths=0,
    )
    assert work_of(THERE, _asked("standard")) == Work(
        scored=2 * (256 + 256 + 40 + 16) + 256,
        answers=2 * (48 + 12),
        helped=2 * 32 * 5,
        helped_answers=2 * 8,
        sampled=16 * 96,
        strengths=5 * (32 + 32),
    )
    assert work_of(THERE, _asked("full")).helped == 2 * 400 * 9


def test_documents_ask_nothing_and_a_whole_model_has_no_strengths() -> None:
    work = work_of(replace(THERE, asks=False, adapter=False), _asked("standard"))
    assert (work.answers, work.helped, work.helped_answers, work.strengths) == (0, 0, 0, 0)


def test_what_was_measured_is_foretold_as_it_was() -> None:
    work = work_of(THERE, _asked("standard"))
    seconds = {"base": 40.0, "tuned": 60.0, "samples": 5.0, "helped": 30.0, "strength": 8.0}
    assert foretold(work, work, seconds, _measured()) == pytest.approx(143.0)


def test_each_part_is_scaled_by_its_own_rows() -> None:
    """120 answers of 0.5 s leave 40 s for 1,392 rows; what is left out costs nothing."""
    now = work_of(THERE, _asked("standard"))
    seconds = {"base": 40.0, "tuned": 60.0, "samples": 5.0, "helped": 30.0, "strength": 8.0}
    quick = work_of(THERE, _asked("quick"))
    wanted = 0.5 * quick.answers + 40.0 / 1392 * quick.scored
    assert foretold(quick, now, seconds, _measured()) == pytest.approx(wanted)
    unhelped = work_of(THERE, _asked("standard", examples=0))
    assert foretold(unhelped, now, seconds, _measured()) == pytest.approx(113.0)


def test_what_this_run_left_out_is_taken_to_cost_what_a_row_and_an_answer_did() -> None:
    now, more = work_of(THERE, _asked("quick")), work_of(THERE, _asked("standard"))
    measured = replace(_measured(), baselines=())
    found = foretold(more, now, {"base": 16.0, "tuned": 20.0}, measured)
    row = (36.0 - 0.5 * 32) / now.scored
    rows = row * (more.scored + more.helped + more.strengths)
    answers = 0.5 * (more.answers + more.helped_answers) + 0.5 / 20 * more.sampled
    assert found == pytest.approx(rows + answers)


def test_the_sentence_has_the_share_the_parts_and_both_directions() -> None:
    said = sentence(
        {"base": 12.0, "tuned": 20.0, "samples": 0.0},
        160.0,
        {"evaluate.level=quick": 9.6, "evaluate.level=full": 240.0},
    )
    assert said == (
        "The verdict took 32 s, 20 % of the training time (the tuned model 20 s, the base 12 s). "
        "Less: evaluate.level=quick about 10 s. More: evaluate.level=full about 4.0 min."
    )
    assert "4 times the training time" in sentence({"base": 12.0}, 3.0, {})
