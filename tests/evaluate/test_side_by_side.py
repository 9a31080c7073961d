"""Answers side by side: the words that differ from the reference, in a text that stays whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tunesmith.evaluate.measure import Baseline, Measured, Side
from tunesmith.evaluate.side_by_side import differences, samples

WORDS = st.lists(st.sampled_from(["Hello", "your ", "\n", "order", "is", " on", "way."]))


def test_words_that_are_not_in_the_reference_are_marked() -> None:
    found = differences("Your order 12 is on its way.", "Your order 99 is on its way.")
    assert [piece for piece in found if piece[1] != "same"] == [("12", "missing"), ("99", "extra")]


def test_what_is_left_out_is_told_only_of_answers_that_are_alike() -> None:
    assert differences("Your order is on its way.", "Maybe.") == [("Maybe.", "extra")]
    assert ("way.", "missing") in differences("It is on its way.", "It is on its")
    assert differences("Yes.", "") == []


@given(WORDS, WORDS)
def test_without_what_is_missing_the_stretches_spell_the_answer(
    reference: list[str], answer: list[str]
) -> None:
    text = " ".join(answer)
    found = differences(" ".join(reference), text)
    spelled = "".join(piece for piece, what in found if what != "missing")
    assert "".join(spelled.split()) == "".join(text.split())
    assert all(what == "same" for piece, what in differences(text, text))


def test_a_long_answer_is_not_compared_word_by_word() -> None:
    assert differences("a " * 2000, "b " * 2000) == [("b " * 2000, "extra")]


def test_the_ways_are_joined_by_row(
    measured: Callable[..., Measured], answers: Callable[..., Any]
) -> None:
    found, given_ = measured(), answers({})
    assert found.base is not None
    assert found.tuned is not None
    helped = Baseline("examples", "4 examples", Side(answers=tuple(given_[5:7])))
    joined = samples(
        replace(
            found,
            base=replace(found.base, answers=given_),
            tuned=replace(found.tuned, answers=given_[2:]),
            baselines=(helped,),
        )
    )
    assert [sample.origin.line for sample in joined] == [6, 7, 3, 4, 5, *range(8, 41)]
    assert [told.title for told in joined[0].told] == ["base", "base with examples", "tuned"]
    assert [told.kind for told in joined[2].told] == ["base", "tuned"]
    assert samples(Measured()) == []
