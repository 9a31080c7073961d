"""Judgements as rows: who decides, what is left out and why; our own data room reads them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.records import Chat, Completion, Message, Preference, Rating
from tunesmith.data.feedback import Answer, Choice, Edit, Feedback, Rated
from tunesmith.data.feedback.agreement import agreement, alpha
from tunesmith.data.feedback.counts import counted
from tunesmith.data.feedback.learned import Form, Learned, learned
from tunesmith.data.feedback.records import Judgement, utc
from tunesmith.data.feedback.rows import feedback_of, fields_of, pair_of
from tunesmith.data.feedback.settle import MEANING, USED
from tunesmith.data.formats import read_row
from tunesmith.data.formats.fields import Unusable
from tunesmith.data.sources import rows_of

A, B, EMPTY = Answer("a", "runs/a", "1"), Answer("b", "anvil"), Answer(" ")
TURNS = (Message("system", "Be brief."), Message("user", "Where?"))
FORMS: tuple[Form, ...] = ("preference", "rating", "sft")

AB, BA, TIE = Choice(A, B, "first"), Choice(B, A, "first"), Choice(A, B, "tie")


def said(*judgements: Judgement, persons: str = "abcdefgh") -> list[Feedback]:
    """One judgement a person, one a day."""
    return [
        Feedback(TURNS, each, person, utc(f"2026-05-{day:02}"), str(day))
        for day, (each, person) in enumerate(zip(judgements, persons, strict=False), start=1)
    ]


def pairs_of(made: Learned) -> list[tuple[str, str]]:
    return [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in made.rows]


@pytest.mark.parametrize(
    ("judgements", "pairs", "fates"),
    [
        ([AB], [("a", "b")], {USED: 1}),
        ([Choice(A, B, "second")], [("b", "a")], {USED: 1}),
        ([AB, Choice(B, A, "second")], [("a", "b")], {USED: 2}),  # the order that it was shown in
        ([AB, BA, AB], [("a", "b")], {USED: 2, "outvoted": 1}),
        ([AB, BA], [], {"no_majority": 2}),
        ([AB, TIE], [("a", "b")], {USED: 1, "tie": 1}),
        ([TIE, TIE], [], {"tie": 2}),
        ([AB, BA, TIE], [], {"no_majority": 2, "tie": 1}),
        ([Edit(B, "better")], [("better", "b")], {USED: 1}),
        ([Edit(B, "a"), BA, AB], [("a", "b")], {USED: 2, "outvoted": 1}),
        ([Edit(B, "b")], [], {"unchanged": 1}),
        ([Choice(A, A, "first")], [], {"same_answer": 1}),
        ([Choice(A, EMPTY, "first")], [], {"empty_answer": 1}),
        ([Rated(A, True)], [], {"rating": 1}),
    ],
)
def test_the_majority_makes_pairs(
    judgements: Sequence[Judgement], pairs: list[tuple[str, str]], fates: dict[str, int]
) -> None:
    made = learned(said(*judgements), "preference")
    assert pairs_of(made) == pairs
    assert made.fates == Counter(fates)


@pytest.mark.parametrize(
    ("judgements", "pairs", "fates"),
    [
        ([AB, AB], [("a", "b")], {USED: 2}),
        ([AB, AB, BA], [], {"disputed": 3}),
        ([AB, TIE], [], {"disputed": 1, "tie": 1}),
    ],
)
def test_what_somebody_disputes_can_be_left_out(
    judgements: Sequence[Judgement], pairs: list[tuple[str, str]], fates: dict[str, int]
) -> None:
    made = learned(said(*judgements), "preference", undisputed=True)
    assert pairs_of(made) == pairs
    assert made.fates == Counter(fates)


@pytest.mark.parametrize(
    ("judgements", "ratings", "fates"),
    [
        ([Rated(A, True)], [("a", True)], {USED: 1}),
        (
            [Rated(A, False), Rated(A, False), Rated(A, True)],
            [("a", False)],
            {"outvoted": 1, USED: 2},
        ),
        ([Rated(A, True), Rated(A, False)], [], {"no_majority": 2}),
        ([Edit(A, "better")], [("a", False), ("better", True)], {USED: 1}),
        ([Edit(A, "better"), Rated(A, True)], [("better", True)], {USED: 1, "no_majority": 1}),
        ([Edit(EMPTY, "better")], [("better", True)], {USED: 1}),
        ([AB], [], {"choice": 1}),
    ],
)
def test_ratings_and_edits_make_rated_answers_and_the_liked_ones_are_imitated(
    judgements: Sequence[Judgement], ratings: list[tuple[str, bool]], fates: dict[str, int]
) -> None:
    made = learned(said(*judgements), "rating")
    assert [(row["completion"][0]["content"], row["label"]) for row in made.rows] == ratings
    assert made.fates == Counter(fates)
    imitated = learned(said(*judgements), "sft")
    liked = [text for text, liked in ratings if liked]
    assert [row["messages"][-1]["content"] for row in imitated.rows] == liked


def test_of_one_person_the_last_word_counts_and_the_nameless_are_many() -> None:
    made = learned(reversed(said(AB, BA, persons="aa")), "preference")
    assert pairs_of(made) == [("b", "a")]
    assert made.fates == Counter({USED: 1, "judged_again": 1})
    nameless = [replace(each, person="") for each in said(AB, BA, AB)]
    assert learned(nameless, "preference").fates == Counter({USED: 2, "outvoted": 1})


def test_who_judged_is_written_only_where_it_is_asked_for() -> None:
    (row,) = learned(said(AB, BA, AB, persons=["ann", "bob", "cem"]), "preference").rows  # type: ignore[arg-type]
    assert "ann" not in json.dumps(row)
    assert row["provenance"] == {
        "chosen": {"model": "runs/a", "version": "1"},
        "rejected": {"model": "anvil"},
        "for": 2,
        "of": 3,
        "time": utc("2026-05-03"),
    }
    (row,) = learned(said(AB, persons="x"), "preference", persons=True).rows
    assert row["provenance"]["persons"] == ["x"]


@pytest.mark.parametrize("prompt", ["Where?", TURNS])
def test_our_data_room_reads_what_is_written(prompt: Any, tmp_path: Path) -> None:
    given = [replace(each, prompt=prompt) for each in said(AB, Rated(A, True), Edit(B, "c"))]
    wanted: dict[Form, list[Any]] = {"preference": [], "rating": [], "sft": []}

    def spoken(text: str) -> Any:
        return text if isinstance(prompt, str) else (Message("assistant", text),)

    for better, worse in (("a", "b"), ("c", "b")):
        wanted["preference"].append(Preference(prompt, spoken(better), spoken(worse)))
    for text, liked in (("a", True), ("b", False), ("c", True)):
        wanted["rating"].append(Rating(prompt, spoken(text), liked))
        if liked:
            whole = (
                Completion(prompt, text)
                if isinstance(prompt, str)
                else Chat((*prompt, *spoken(text)))
            )
            wanted["sft"].append(whole)
    for form in FORMS:
        path = tmp_path / f"{form}.jsonl"
        rows = learned(given, form).rows
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        readings = [read_row(row) for row in rows_of(str(path))]
        assert [reading.outcome.content for reading in readings] == wanted[form]  # type: ignore[union-attr]
        assert not any(reading.extras for reading in readings)


judgement = st.sampled_from(
    [
        AB,
        BA,
        TIE,
        Choice(A, EMPTY, "tie"),
        Rated(A, True),
        Rated(B, False),
        Edit(A, "b"),
        Edit(A, "a"),
    ]
)


@given(st.lists(st.tuples(judgement, st.sampled_from(["", "x", "y"])), max_size=12), st.booleans())
def test_nothing_is_lost_in_silence(cast: list[tuple[Judgement, str]], undisputed: bool) -> None:
    persons: Any = [person for _, person in cast]
    given = said(*(each for each, _ in cast), persons=persons)
    for form in FORMS:
        made = learned(given, form, undisputed=undisputed)
        assert made.fates.total() == len(given)
        assert made.fates.keys() <= {USED, *MEANING}
        assert bool(made.rows) == bool(made.fates[USED])


def test_agreement_is_krippendorffs() -> None:
    """The example of Krippendorff's "Computing Krippendorff's alpha-reliability" (2011)."""
    coders = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    units = [[value for value in unit if value != "."] for unit in zip(*coders, strict=True)]
    assert alpha([unit for unit in units if len(unit) > 1]) == pytest.approx(0.743, abs=5e-4)


def test_agreement_of_choices_does_not_hang_on_what_is_called_first() -> None:
    found = learned(
        [
            *said(AB, AB),
            *(replace(each, prompt="other", id=each.id + "'") for each in said(AB, BA)),
        ],
        "preference",
    ).agreement
    assert found is not None
    assert (found.questions, found.pairs, found.agreed) == (2, 2, 1)
    turned = agreement(
        [["second", "second"], ["second", "first"]], {"first": "second", "second": "first"}
    )
    assert turned == found
    assert learned(said(AB), "preference").agreement is None


@pytest.mark.parametrize("judged", [AB, TIE, Rated(A, False), Edit(B, "c")])
@pytest.mark.parametrize("prompt", ["Where?", TURNS])
def test_a_line_is_read_as_it_was_written(judged: Judgement, prompt: Any) -> None:
    feedback = Feedback(prompt, judged, "ann", utc("2026-05-04T12:00:00+02:00"), "7")
    assert feedback_of(json.loads(json.dumps(fields_of(feedback)))) == feedback


ANSWERED = {"prompt": "x", "answer": "a"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"prompt": "x", "chosen": "a", "rejected": "b"}, "received prompt, chosen, rejected"),
        ({**ANSWERED, "liked": True, "corrected": "b"}, "has one of"),
        ({"answer": "a", "liked": True}, '"prompt" is missing'),
        ({**ANSWERED, "liked": 1}, "true or false; received 1"),
        (
            {**ANSWERED, "liked": True, "rater": "me"},
            "has 'rater', which feedback has no place for",
        ),
        ({**ANSWERED, "corrected": " "}, '"corrected" is empty'),
        ({"prompt": "x", "answers": ["a"], "preferred": 1}, "two answers; received 1"),
        ({"prompt": "x", "answers": ["a", "b"], "preferred": 3}, '1, 2 or "tie"; received 3'),
        ({"prompt": "x", "answers": ["a", "b"], "preferred": True}, "received True"),
        ({"prompt": "x", "answer": {"txt": "a"}, "liked": True}, "received one with txt"),
        ({"prompt": "x", "answer": {"text": "a", "sampling": 3}, "liked": True}, '"sampling" must'),
        ({**ANSWERED, "liked": True, "time": "yesterday"}, "received 'yesterday'"),
        ({"prompt": [], "answer": "a", "liked": True}, "must end with what waits"),
        ({"prompt": "x", "answer": "\ud800", "liked": True}, "half of a surrogate"),
    ],
)
def test_a_line_that_is_no_judgement_is_told_why(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(Unusable, match=says):
        feedback_of(fields)


def test_a_pair_that_waits_has_nothing_else() -> None:
    assert pair_of({"prompt": "x", "answers": ["a", {"text": "b", "model": "anvil"}]}) == (
        "x",
        Answer("a"),
        B,
    )
    with pytest.raises(Unusable, match='"answers" is missing'):
        pair_of({"prompt": "x"})


def test_what_a_store_holds_is_counted() -> None:
    found = counted(said(AB, Choice(A, B, "second"), TIE, Rated(B, True), Edit(B, "c"))).to_json()
    assert found["kinds"] == {"choice": 3, "rating": 1, "edit": 1}
    assert found["shown_first"] == {"preferred": 1, "of": 2}
    assert found["models"] == {
        "anvil": {"compared": 3, "better": 1, "rated": 1, "liked": 1, "edited": 1},
        "runs/a": {"compared": 3, "better": 1, "rated": 0, "liked": 0, "edited": 0},
    }
    assert found["persons"]["a"] == {"choice": 1, "rating": 0, "edit": 0}
