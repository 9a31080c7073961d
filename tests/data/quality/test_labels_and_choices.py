"""Classes and preferences: what the checks of them count, and what they let pass."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.data.quality.planted import OTHER, Rows, by_length, compared, labelled, reasons, surveyed
from tunesmith.core.records import Label, Pair, Preference, Rating
from tunesmith.data.quality import labels
from tunesmith.data.quality.choices import wilson

ASKED = "Where is the parcel that I ordered in May?"


@pytest.mark.parametrize(
    ("one", "other", "one_class"),
    [
        ("Refund", "refund ", True),
        ("lost_card", "Lost card", True),
        ("refund", "refunds", True),
        ("transfer timing", "transfer timming", True),
        ("transfer timing", "transfer timign", True),
        ("transfer timing", "transfer timinq", True),
        ("card_1", "card_2", False),
        ("region12", "region13", False),
        ("typical", "atypical", False),
        ("class a", "class b", False),
        ("lost card", "lost cards", False),
        ("lost card", "lost or stolen card", False),
        ("increase", "decrease", False),
    ],
)
def test_which_names_are_taken_for_one_class(one: str, other: str, one_class: bool) -> None:
    found = surveyed(Rows(labelled(**{one: 9, other: 6}))).found
    assert [each.reason for each in found] == (["similar_label"] if one_class else [])
    if one_class:
        assert len(found[0].rows) == 6
        assert found[0].places[0].says == (
            f"{other!r} is the class of 6 training rows, and {one!r} of 9."
        )


def test_a_row_of_several_classes_counts_for_each() -> None:
    texts = [row.text for row in labelled(a=40)]
    rows = [Label(text, ("broken", "late")) for text in texts[:20]]
    rows += [Label(text, ("late", "lost")) for text in texts[20:38]]
    rows += [Label(text, ("lost", "dear")) for text in texts[38:]]
    found = {each.reason: each for each in surveyed(Rows(tuple(rows))).found}
    assert set(found) == {"rare_label", "dominant_label"}
    assert found["rare_label"].places[0].says == "'dear' is the class of 2 training rows."
    assert found["dominant_label"].places[0].says == "'late' is the class of 38 of 40 rows."


def test_a_class_of_the_validation_file_alone_is_named() -> None:
    judged = (Label(ASKED, ("parcel", "colour")), Label("And what is that one?", ("parcel",)))
    [found] = surveyed(Rows(labelled(refund=20, parcel=20), judged)).found
    assert [place.says for place in found.places] == ["No training row is of the class 'colour'."]
    assert reasons(Rows((), judged)) == set()


def test_where_not_all_names_are_kept_nothing_is_said_of_classes() -> None:
    rows = Rows(labelled(refund=20, refunds=9, rare=1), (Label(ASKED, ("colour",)),))
    assert reasons(rows) == {"similar_label", "rare_label", "unknown_label"}
    columns = compared(rows)
    few = replace(columns, labels=dict(list(columns.labels.items())[1:]))
    for check in (labels.nearly_equal, labels.rare, labels.dominant):
        assert not len(check(few).rows)


@pytest.mark.parametrize(
    ("one", "other", "contradict"),
    [
        (Label(ASKED, ("parcel",)), Label(ASKED.upper(), ("colour",)), True),
        (Label(ASKED, ("parcel", "may")), Label(ASKED, ("parcel",)), True),
        (Label(ASKED, ("parcel", "may")), Label(ASKED.upper(), ("may", "parcel")), False),
        (Rating(ASKED, "At home.", True), Rating(ASKED, "At home.", False), True),
        (Rating(ASKED, "At home.", True), Rating(ASKED, "I cannot know.", False), False),
        (Pair(ASKED, "Where is it?", 0.9), Pair(ASKED, "Where is it?", 0.1), True),
        (Pair(ASKED, "Where is it?", 0.9), Pair(ASKED, "Who called?", 0.1), False),
    ],
)
def test_equal_rows_of_two_classes_or_ratings_contradict(
    one: Label, other: Label, contradict: bool
) -> None:
    assert ("contradiction" in reasons(Rows((one, other)))) is contradict


@pytest.mark.parametrize(
    ("chosen", "rejected", "says"),
    [
        ("At *home*.", "at home", "The two answers have the same words."),
        (
            f"{ASKED} " * 3,
            f"{ASKED} " * 2 + ASKED.replace("May", "June"),
            "differ in 1 of 27 words",
        ),
        ("At home.", "At work.", None),
    ],
)
def test_answers_of_which_few_words_differ_are_named(
    chosen: str, rejected: str, says: str | None
) -> None:
    found = surveyed(Rows((Preference(OTHER, chosen, rejected),))).found
    assert [each.reason for each in found] == ([] if says is None else ["nearly_same_choice"])
    assert says is None or says in found[0].places[0].says


def test_a_choice_turned_round_names_the_earlier_row() -> None:
    first = Preference(ASKED, "At home.", "At the depot.")
    again = Preference(ASKED, "at the depot", "at home")
    [found] = [
        each
        for each in surveyed(Rows((first, first, again))).found
        if each.reason == "turned_choice"
    ]
    assert [str(place.origin) for place in found.places] == ["train.jsonl:3"]
    assert found.places[0].says == "train.jsonl:1 prefers the other answer."


def test_how_often_the_longer_answer_is_chosen_is_said_with_an_interval() -> None:
    [longer] = surveyed(by_length(75, 25)).found
    assert len(longer.rows) == 75
    assert longer.places[0].says == (
        "In 75 of 100 pairs (75%; 95 % interval 66% to 82%) the longer answer is chosen, as here."
    )
    [shorter] = surveyed(by_length(25, 75)).found
    assert len(shorter.rows) == 75
    assert "the shorter answer is chosen" in shorter.places[0].says


@pytest.mark.parametrize(("wins", "count"), [(0, 7), (5, 9), (75, 100), (400, 400)])
def test_the_ends_of_the_interval_are_shares_that_just_pass_the_test(wins: int, count: int) -> None:
    """Wilson's definition: at its ends the share seen is 1.96 standard errors away."""
    for end in wilson(wins, count):
        error = math.sqrt(end * (1 - end) / count)
        assert abs(wins / count - end) == pytest.approx(1.959964 * error, abs=1e-9)
    assert wilson(75, 100) == pytest.approx((0.6570, 0.8245), abs=1e-4)
