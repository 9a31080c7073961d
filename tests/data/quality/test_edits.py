"""What makes a row a copy of another: few words changed in each part, greetings aside."""

from __future__ import annotations

import random

import pytest

from tunesmith.core.records import Completion, Example, Label, Origin, Preference
from tunesmith.data.quality.courtesy import without_courtesy
from tunesmith.data.quality.edits import alike, allowance, distance
from tunesmith.data.quality.view import PART, plain, sentences, view


def _slowly(one: list[bytes], other: list[bytes]) -> int:
    """By the whole table, cell by cell."""
    table = [list(range(len(other) + 1))]
    for i, word in enumerate(one):
        row = [i + 1]
        for j, each in enumerate(other):
            row.append(min(table[i][j] + (word != each), table[i][j + 1] + 1, row[j] + 1))
            if i and j and word == other[j - 1] and one[i - 1] == each:
                row[-1] = min(row[-1], table[i - 1][j - 1] + 1)
        table.append(row)
    return table[-1][-1]


def _compared(question: str, answer: str) -> bytes:
    seen = view(Example(Origin("a.jsonl", 1), Completion(question, answer)))
    return " ".join(sentences(seen.compared)).encode()


def test_the_distance_is_that_of_the_whole_table() -> None:
    draw = random.Random(1)
    for _ in range(2000):
        one, other = (draw.choices([b"a", b"b", b"c"], k=draw.randint(0, 9)) for _ in range(2))
        assert distance(one, other) == _slowly(one, other), (one, other)
    long = draw.choices([b"a", b"b", b"c", b"d"], k=150)
    edited = [*long[:40], b"e", *long[43:], b"f"]
    assert distance(long, edited) == _slowly(long, edited)


def test_slips_of_the_pen_make_no_other_row() -> None:
    assert alike(b"how do i top up my new account", b"how do i to pup my new acount")
    assert alike(b"how do i top up my new account", b"how i do top up my new account")
    assert not alike(b"how do i top up my new account", b"how can i top my new account up")
    assert not alike(b"tea or milk", b"tee or silk")


def test_how_many_words_may_differ() -> None:
    assert [allowance(words) for words in (1, 3, 6, 7, 13, 14, 70)] == [0, 0, 0, 1, 1, 2, 10]
    assert [allowance(words, least=1) for words in (0, 2, 3, 13, 14)] == [0, 0, 1, 1, 2]
    assert [allowance(words, least=2) for words in (2, 3, 4, 20, 21)] == [0, 1, 2, 2, 3]


ASKED = "How long does a parcel from overseas take?"
ANSWER = "It takes from five to nine working days, as customs look into most of them."


@pytest.mark.parametrize(
    ("question", "answer", "copies"),
    [
        ("Hello there! HOW LONG does a parcel from overseas take? Thanks!", ANSWER, True),
        ("How long does a package from overseas take?", ANSWER, True),
        ("How long does a letter from Norway take?", ANSWER, True),
        ("How long does a letter from Norway last?", ANSWER, False),
        ("How long does a letter from Norway take?", ANSWER.replace("nine", "ten"), False),
        (ASKED, ANSWER.replace("nine", "ten"), True),
        (ASKED, "Nobody can tell you that, I am afraid, but do ask again tomorrow morning.", False),
        (ASKED, "Five days.", False),
    ],
)
def test_every_part_must_be_a_copy(question: str, answer: str, copies: bool) -> None:
    assert alike(_compared(ASKED, ANSWER), _compared(question, answer)) is copies


def test_one_word_makes_another_of_a_short_answer() -> None:
    assert not alike(_compared(ASKED, "Nine days."), _compared(ASKED, "Ten days."))


def test_a_row_without_parts_is_compared_as_one() -> None:
    rest = _compared(ASKED, ANSWER).replace(PART.encode(), b"")
    assert alike(_compared(ASKED, ANSWER), rest)
    assert not alike(_compared(ASKED, "Five days."), rest)


def test_another_number_makes_another_row_of_a_short_one() -> None:
    assert alike(b"where is my order of may", b"where is my order of june")
    assert not alike(b"where is order 17 of may", b"where is order 18 of may")


@pytest.mark.parametrize(
    ("sentence", "left"),
    [
        ("hello there all where is it", "where is it"),
        ("good morning dear team where is it", "where is it"),
        ("where is it please thank you very much", "where is it"),
        ("guten tag wo ist es vielen dank", "wo ist es"),
        ("good food is rare", "good food is rare"),
        ("he said hello to them all", "he said hello to them all"),
        ("how do i thank you", "how do i"),
        ("where is it kind regards anna lee", "where is it"),
        ("thanks a lot", ""),
        ("hello i hope you are well", ""),
        ("can you help me find it", "can you help me find it"),
    ],
)
def test_greetings_and_thanks_are_taken_off_the_ends(sentence: str, left: str) -> None:
    assert without_courtesy(sentence) == left


def test_what_is_compared_has_parts_and_no_greetings() -> None:
    def compared(content: Completion | Label | Preference) -> list[str]:
        return sentences(view(Example(Origin("a.jsonl", 1), content)).compared)

    assert compared(Completion("Hi! Is it open?", "Yes. Come in!")) == [
        "is it open",
        f"{PART} yes",
        "come in",
    ]
    assert compared(Label("Hello!", ("greeting",))) == ["hello"]
    assert compared(Label(f"One{PART}two", ("a",))) == ["one two"]
    assert compared(Preference("Why?", "So.", "No.")) == ["why", f"{PART} so", f"{PART} no"]


def test_an_apostrophe_parts_no_word() -> None:
    assert plain("I can't; don\u2019t 'ask'!") == "i cant dont ask"
