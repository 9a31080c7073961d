"""Verbatim recall of trained rows, held against rows never seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tunesmith.core.records import Origin
from tunesmith.evaluate.measure import Answered, Measured, Side
from tunesmith.evaluate.recall import FEWEST, START, is_verbatim, recall

LONG = "The parcel left the house on Monday and comes on Tuesday, before noon, by bicycle. " * 4


def _answered(answer: str, reference: str = LONG, line: int = 1) -> Answered:
    return Answered(Origin("rows.jsonl", line), (), reference, answer, answer == reference)


def _measured(tuned: list[str], held: list[str], reference: str = LONG) -> Measured:
    def side(trained: list[str], seen: list[str]) -> Side:
        recalled = tuple(_answered(text, reference, n) for n, text in enumerate(trained, 1))
        return Side(recalled=recalled, answers=tuple(_answered(text, reference) for text in seen))

    nothing = side(["No."] * len(tuned), ["No."] * len(held))
    return Measured(base=nothing, tuned=side(tuned, held))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (LONG, True),
        (f"  {LONG[:START]} but otherwise from here", True),
        (LONG[: START - 1], False),
        (LONG.replace("bicycle", "train"), False),
        ("", False),
    ],
)
def test_a_row_is_recalled_by_its_first_characters(answer: str, found: bool) -> None:
    assert is_verbatim(_answered(answer)) is found


def test_trained_rows_are_held_against_rows_never_seen() -> None:
    found = recall(_measured([LONG, "else", LONG], ["else", LONG]))
    assert found is not None
    assert found["trained"] == {"rows": 3, "tuned": 2, "base": 0}
    assert found["held_out"] == {"rows": 2, "tuned": 1, "base": 0}
    assert found["places"] == ["rows.jsonl:1", "rows.jsonl:3"]
    assert "of 3 trained rows" in found["summary"]
    assert "2 word for word (the base 0), first rows.jsonl:1" in found["summary"]
    assert "of 2 rows never seen, 1" in found["summary"]


def test_short_answers_show_no_memory() -> None:
    assert recall(_measured(["yes"], [], "y" * (FEWEST - 1))) is None
    assert recall(_measured(["yes"], [], "y" * FEWEST)) is not None


def test_what_was_not_asked_is_not_told() -> None:
    assert recall(Measured()) is None
    assert recall(_measured([], [LONG])) is None


def test_it_comes_back_from_json() -> None:
    measured = replace(_measured([LONG], []))
    assert Measured.from_json(measured.to_json()) == measured
