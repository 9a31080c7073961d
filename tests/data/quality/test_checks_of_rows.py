"""Each check fires on the planted mistake, and stays silent on its clean twin."""

from __future__ import annotations

import pytest

from tests.data.quality.planted import CARD, IBAN, KEY, PLANTED, Rows, answered, reasons, surveyed
from tunesmith.core.records import (
    Chat,
    Completion,
    Example,
    Finding,
    Message,
    Origin,
    Preference,
    ToolCall,
)
from tunesmith.data.quality import CHECKS, Survey, repaired, seen
from tunesmith.data.quality.damage import mended, mojibake
from tunesmith.data.quality.personal import redacted


def test_every_check_of_the_table_has_its_pair() -> None:
    assert set(CHECKS) == set(PLANTED)


@pytest.mark.parametrize("reason", PLANTED)
def test_the_planted_mistake_is_found(reason: str) -> None:
    assert reason in reasons(PLANTED[reason][0])


@pytest.mark.parametrize("reason", PLANTED)
def test_the_clean_twin_passes_every_check(reason: str) -> None:
    assert reasons(PLANTED[reason][1]) == set()


@pytest.mark.parametrize("reason", PLANTED)
def test_it_is_that_check_which_finds_it(reason: str) -> None:
    others = {name: check for name, check in CHECKS.items() if name != reason}
    assert reason not in reasons(PLANTED[reason][0], others)


def test_a_finding_names_the_row_and_says_what_is_wrong() -> None:
    by_reason = {each.reason: each for each in surveyed(PLANTED["contradiction"][0]).found}
    found = by_reason["contradiction"]
    assert [str(place.origin) for place in found.places] == ["train.jsonl:2"]
    assert "train.jsonl:1 gives another answer" in found.places[0].says


def test_the_same_answer_in_other_letters_is_no_contradiction() -> None:
    rows = (Completion("Is it open?", "Yes."), Completion("is it OPEN", "yes"))
    assert reasons(Rows(rows)) == {"near_duplicate"}


def test_every_turn_of_a_conversation_is_looked_at() -> None:
    def said(role: str, content: str, **more: int) -> Message:
        return Message(role, content, **more)  # type: ignore[arg-type]

    bad, good = "As an AI language model, I cannot know.", "It comes on Monday."
    turns = (said("user", "When?"), said("assistant", bad), said("user", "Really?"))
    assert reasons(Rows((Chat((*turns, said("assistant", good))),))) == {"refusal"}
    context = (turns[0], said("assistant", bad, weight=0), turns[2])
    assert reasons(Rows((Chat((*context, said("assistant", good))),))) == set()


def test_a_call_of_a_function_is_an_answer() -> None:
    call = ToolCall("track", "{}")
    asked, found = Message("user", "Where is it?"), Message("tool", "At the depot.")
    answers = Message("assistant", "", (call,)), Message("assistant", "It is at the depot.")
    chat = Chat((asked, answers[0], found, answers[1]), ("track",))
    assert reasons(Rows((chat,))) == set()
    other = Chat(chat.messages, ("track", "trace"))
    assert reasons(Rows((chat, other))) == {"near_duplicate"}
    refused = Chat((asked, Message("assistant", "I have no way to know.")))
    assert reasons(Rows((Chat(chat.messages[:2], ("track",)), refused))) == set()
    assert reasons(Rows((Chat((asked, Message("assistant", ""))),))) == {"empty_answer"}


def test_the_answer_not_wanted_may_refuse() -> None:
    bad, good = "As an AI language model, I cannot know.", "It comes on Monday."
    assert reasons(Rows((Preference("When does it come?", good, bad),))) == set()
    assert reasons(Rows((Preference("When does it come?", bad, good),))) == {"refusal"}


def test_more_than_one_row_in_a_hundred_that_cannot_be_used_stops() -> None:
    def report(bad: int, good: int) -> tuple[bool, int]:
        rows: list[Example | Finding] = [
            Example(Origin("a.jsonl", line + 1), Completion(f"What is {line}?", str(line)))
            for line in range(good)
        ]
        for line in range(bad):
            origin = Origin("a.jsonl", good + line + 1)
            rows.append(Finding("wrong_keys", "The fields are wrong.", "drop", origin))
        survey = Survey()
        survey.take("a.jsonl", seen(rows))
        made = survey.report()
        return made.stops, made.unusable

    assert report(1, 99) == (False, 1)
    assert report(2, 98) == (True, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"key {KEY}.", "key [KEY]."),
        (f"card {CARD}, ok", "card [CARD], ok"),
        ("card 4539-5787-6362-1486", "card [CARD]"),
        (f"to {IBAN}", "to [IBAN]"),
        ("to GB82WEST12345698765432.", "to [IBAN]."),
        ("mail a.b+c@mail.parcels.de!", "mail [EMAIL]!"),
        ("ring (415) 867-5309 or 0800 123 4567", "ring [PHONE] or [PHONE]"),
        ("DNI 12345678Z", "DNI [NUMBER]"),
        ("SSN 219-09-9998", "SSN [NUMBER]"),
        ("DNI 12345678A", "DNI 12345678A"),
        ("order 123456789012, 12.5.2024, 2024-05-12 10:30", None),
        ("v1.2.3-4 at 192.168.100.200:8080, ISBN 978-3-16-148410-0", None),
        ("0.1234 5678 9012 3456", None),
    ],
)
def test_personal_data_is_replaced_and_other_numbers_are_not(
    text: str, expected: str | None
) -> None:
    assert redacted(text)[0] == (text if expected is None else expected)


@pytest.mark.parametrize(
    "text", ["Größe: 4 ÷ 2 ± 1", "« CAFÉ »", "São Paulo", "Ça va… “oui”", "Привет"]
)
def test_sound_accents_are_no_mojibake(text: str) -> None:
    assert mojibake(text) is None
    assert mended(text) == (text, {})


@pytest.mark.parametrize("text", ["é", "don\u2019t", "„ja“", "Привет", "naïve – ça", "😀"])
def test_mojibake_is_undone(text: str) -> None:
    damaged = "".join(
        bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in text.encode()
    )
    assert mended(damaged)[0] == text


def test_a_row_is_repaired_at_any_depth() -> None:
    fields = {"messages": [{"role": "user", "content": f"I paid with {CARD}\x07"}], "n": 3}
    assert repaired(fields) == (
        {"messages": [{"role": "user", "content": "I paid with [CARD]"}], "n": 3},
        {"card_number": 1, "control_characters": 1},
    )


def test_an_answer_of_one_word_is_an_answer() -> None:
    for answer in ("No", "42", "👍", "是", "-5", "null pointer"):
        assert reasons(answered(answer)) == set(), answer
