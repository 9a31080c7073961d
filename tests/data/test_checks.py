"""Each check of the table finds its fault, and is silent on a sound example."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.core.records import Origin, Tokens
from tunesmith.data.checks import CHECKS, Limits, check, in_both_splits

START, END = 1, 2
LIMITS = Limits(context=6, stop_ids=(END,), start=START)
ORIGIN = Origin("rows.jsonl", 9)


def _tokens(ids: list[int], weights: list[int], part: int = 0) -> Tokens:
    return Tokens(
        ORIGIN, np.array(ids, np.int32), np.array(weights, np.float32), learned_bytes=1, part=part
    )


SOUND = {
    "chat": [_tokens([START, 5, 6, 7, END, 8], [0, 0, 0, 1, 1, 0])],
    "two answers": [_tokens([5, 6, END, 5, 6, END], [0, 1, 1, 0, 1, 1])],
    "document in pieces": [
        _tokens([START, 5, 6], [0, 1, 1]),
        _tokens([6, 7, 8], [0, 1, 1], part=1),
        _tokens([8, END], [0, 1], part=2),
    ],
}
FAULTY = {
    "too_long": [_tokens([5, 6, 7, 8, 9, 10, END], [0, 0, 0, 0, 0, 1, 1])],
    "nothing_to_learn": [_tokens([5, 6, END], [1, 0, 0])],
    "untrained_end": [_tokens([5, 6, 7, END], [0, 0, 1, 0])],
    "doubled_start": [_tokens([START, START, 6, END], [0, 0, 1, 1])],
}


@pytest.mark.parametrize("parts", SOUND.values(), ids=SOUND.keys())
def test_sound_examples_pass(parts: list[Tokens]) -> None:
    assert check(ORIGIN, parts, LIMITS) is None


def test_every_check_of_the_table_is_tested() -> None:
    assert set(CHECKS) == set(FAULTY)


@pytest.mark.parametrize("reason", FAULTY)
def test_each_fault_is_found(reason: str) -> None:
    finding = check(ORIGIN, FAULTY[reason], LIMITS)
    assert finding is not None
    assert (finding.reason, finding.severity, finding.origin) == (reason, "drop", ORIGIN)


def test_too_long_gives_both_numbers() -> None:
    finding = check(ORIGIN, FAULTY["too_long"], LIMITS)
    assert finding is not None
    assert "7 tokens" in finding.message
    assert "context is 6" in finding.message


def test_a_second_answer_without_end_is_found_behind_a_sound_one() -> None:
    parts = [_tokens([5, 6, END, 5, 6], [0, 1, 1, 0, 1])]
    finding = check(ORIGIN, parts, LIMITS)
    assert finding is not None
    assert finding.reason == "untrained_end"


def test_an_example_on_both_sides_names_both_places() -> None:
    finding = in_both_splits(Origin("rows.jsonl", 2), Origin("held.jsonl", 4))
    assert (finding.reason, str(finding.origin)) == ("in_both_splits", "rows.jsonl:2")
    assert "held.jsonl:4" in finding.message
