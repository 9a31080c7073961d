"""Span F1 is that of CoNLL, its interval is over rows, and the rivals say what they should."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.core.records import Origin
from tunesmith.evaluate.labels import fields
from tunesmith.evaluate.labels.measured import LabelMeasured, Rival, Said
from tunesmith.evaluate.labels.rivals import CONSTANT, LINEAR
from tunesmith.evaluate.labels.tag_page import marked_rows, tag_tables
from tunesmith.evaluate.labels.tag_rivals import MEMORY, TagRivals
from tunesmith.evaluate.labels.verdict import judge_labels


def _said(wanted: str, said: str, line: int = 1) -> Said:
    tags, words = tuple(wanted.split()), tuple(f"w{n}" for n in range(len(wanted.split())))
    return Said(Origin("rows", line), tags, tuple(said.split()), 0.5, words=words)


ROWS = [
    _said("B-a I-a O B-b", "B-a I-a O O", 1),  # one right, one missed
    _said("B-a I-a I-a O", "B-a I-a O O", 2),  # other borders
    _said("B-b O O O", "B-a O B-b O", 3),  # another type, and one too many
    _said("O O", "O O", 4),
]


def test_figures_are_those_counted_by_hand() -> None:
    found = fields.figures(ROWS)
    assert found["precision"] == 1 / 4
    assert found["recall"] == 1 / 4
    assert found["span F1"] == 2 * 1 / (4 + 4)
    assert found["words right"] == 10 / 14
    assert fields.by_type(ROWS) == [("a", 1 / 3, 1 / 2, 2), ("b", 0.0, 0.0, 2)]


def test_borders_and_type_must_both_be_right() -> None:
    wrong = [_said("B-a I-a", "B-a O"), _said("B-a I-a", "B-b I-b")]
    assert fields.figures(wrong)["span F1"] == 0


def test_mistakes_say_what_stood_there_instead() -> None:
    assert fields.mistakes(ROWS) == [
        ("a", "a with other borders", 1),
        ("b", "a", 1),
        ("b", fields.MISSED, 1),
        (fields.MISSED, "b", 1),
    ]


def test_no_span_wanted_and_none_said_is_right() -> None:
    assert fields.figures([_said("O O", "O O")])["span F1"] == 1


def test_the_interval_is_that_of_rows_drawn_again() -> None:
    draw = np.random.default_rng(0)
    rows = [
        _said("B-a O B-b I-b", "B-a O " + ("B-b I-b" if draw.random() < 0.6 else "O O"), n)
        for n in range(200)
    ]
    nothing = [_said("B-a O B-b I-b", "O O O O", n) for n in range(200)]
    found = fields.f1_change(nothing, rows, 0)
    value, variance = fields.f1_of(rows)
    assert found.value == pytest.approx(value)
    assert found.n == 200
    assert found.high - found.low == pytest.approx(2 * 1.96 * variance**0.5, rel=0.1)


def _rivals() -> tuple[Rival, ...]:
    words = [("to", "Rome"), ("to", "Oslo"), ("in", "May"), ("Rome", "may")]
    tags = [("O", "B-city"), ("O", "B-city"), ("O", "B-date"), ("B-city", "O")]
    names = ("O", "B-city", "B-date")
    rivals = TagRivals(words, tags, lambda given: [(names[place],) for place in given.argmax(1)])
    asked = Said(Origin("rows", 1), ("O", "B-city"), (), words=("to", "Bonn"))
    return rivals.judge(np.eye(3, dtype=np.float32)[[0, 1]], [asked])


def test_rivals_say_o_what_they_remember_and_what_states_tell() -> None:
    found = {rival.name: rival.rows[0].said for rival in _rivals()}
    assert found == {CONSTANT: ("O", "O"), MEMORY: ("O", "O"), LINEAR: ("O", "B-city")}


def test_the_verdict_counts_spans_and_what_continues_nothing() -> None:
    rows = tuple(_said("O B-a I-a", "O B-a I-a", n) for n in range(30))
    stray = tuple(_said("O B-a I-a", "O I-a I-a", 30 + n) for n in range(3))
    outside = tuple(_said("O B-a I-a", "O O O", n) for n in range(33))
    constant = Rival(CONSTANT, "O for every word", outside)
    known = Rival(MEMORY, "memory", outside)
    measured = LabelMeasured(
        "tags", ("O", "B-a", "I-a"), rows + stray, rows, rivals=(constant, known)
    )
    verdict = judge_labels(measured).to_json()
    assert verdict["learned"]["value"] == 1.0, "a span is one however it begins"
    assert "3 words of what it said, and 0 of what was wanted" in str(verdict["learned"]["detail"])
    assert verdict["memorised"]["pass"] is True
    assert verdict["worth"]["pass"] is True
    again = LabelMeasured.from_json(measured.to_json())
    assert again == measured


def test_the_page_marks_spans() -> None:
    measured = LabelMeasured("tags", ("O",), tuple(ROWS))
    row = next(each for each in marked_rows(measured) if each.origin == "rows:1")
    assert [tuple(piece) for piece in row.wanted] == [("w0 w1", "a"), ("w2", ""), ("w3", "b")]
    assert [tuple(piece) for piece in row.said] == [("w0 w1", "a"), ("w2 w3", "")]
    types, wrong = tag_tables(measured)
    assert types.rows[0][0] == "a"
    assert len(wrong.rows) == 4
