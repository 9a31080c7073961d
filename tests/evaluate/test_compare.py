"""Runs side by side: the same rows, paired, whatever their order, their bases or their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.evaluate.conftest import make_answers, make_measured, make_scores
from tunesmith.core.errors import DataError
from tunesmith.core.records import Score
from tunesmith.evaluate.compare import Comparison, Judged, compare
from tunesmith.evaluate.compared import render_comparison, table_of
from tunesmith.evaluate.measure import Cost, Course, Grading, Measured, Side
from tunesmith.evaluate.verdict import judge


def judged(name: str, loss: float, lines: Sequence[int] = range(1, 41), **changes: Any) -> Judged:
    """A run judged on some of forty rows, whose contents are their lines."""
    found = make_measured(held_out=(2.0, loss))
    assert found.base is not None
    assert found.tuned is not None
    some = set(lines)
    sides = [
        replace(
            side,
            held_out=tuple(each for each in side.held_out if each.origin.line in some),
            answers=tuple(each for each in answers if each.origin.line in some),
            cost=Cost(90, 10, 0.5, len(some)),
        )
        for side, answers in (
            (found.base, make_answers({"greeting": [False] * 40})),
            (
                found.tuned,
                make_answers({"greeting": [i < round(40 * (1 - loss)) for i in range(40)]}),
            ),
        )
    ]
    measured = Measured(*sides, course=Course(kept_step=9, seconds=60.0))
    contents = {f"rows.jsonl:{line}": f"row {line}" for line in range(1, 41)}
    made = Judged(name, "anvil", "lora", judge(found).to_json(), measured, contents)
    return replace(made, **changes)


def columns(*runs: Judged) -> Comparison:
    return compare(runs)


def test_the_difference_is_that_of_the_shared_rows_with_its_interval() -> None:
    found = columns(judged("a", 0.8), judged("b", 0.7, range(11, 41)), judged("c", 0.8))
    assert (found.rows, found.prompts) == (30, 30)
    first, second, third = found.columns
    assert first.change is None
    assert second.change is not None
    assert third.change is not None
    assert second.change.value == pytest.approx(second.loss - first.loss)
    assert second.change.high < 0
    assert second.change.n == 30
    same = third.change
    assert [same.value, same.low, same.high] == pytest.approx([0, 0, 0], abs=1e-12)
    assert found.sentence.startswith("On 30 shared held-out rows b has the lowest loss, 0.7")
    assert "clearly lower than a (by 0.10" in found.sentence
    greeting = next(each for each in second.metrics if each["name"] == "greeting")
    assert (greeting["base"], greeting["tuned"]) == (0.0, pytest.approx(2 / 30))


def test_order_of_rows_and_their_places_do_not_matter() -> None:
    plain = judged("b", 0.7)
    assert plain.measured.tuned is not None
    moved_contents = {f"other.jsonl:{41 - n}": f"row {n}" for n in range(1, 41)}

    def moved(side: Side) -> Side:
        turned = tuple(
            replace(
                each, origin=replace(each.origin, path="other.jsonl", line=41 - each.origin.line)
            )
            for each in reversed(side.held_out)
        )
        return replace(side, held_out=turned, answers=())

    assert plain.measured.base is not None
    measured = replace(
        plain.measured, base=moved(plain.measured.base), tuned=moved(plain.measured.tuned)
    )
    turned = replace(plain, measured=measured, contents=moved_contents)
    one, other = columns(judged("a", 0.8), plain), columns(judged("a", 0.8), turned)
    assert one.columns[1].change == other.columns[1].change
    assert one.columns[1].base_loss == pytest.approx(other.columns[1].base_loss)


def test_another_tokenizer_changes_nothing_but_another_length_keeps_its_bits_per_byte() -> None:
    plain = judged("b", 0.7)
    assert plain.measured.tuned is not None

    def longer(score: Score) -> Score:
        return replace(score, nll=2 * score.nll, bytes=2 * score.bytes, count=score.count * 3)

    scores = tuple(map(longer, plain.measured.tuned.held_out))
    side = replace(plain.measured.tuned, held_out=scores)
    other = replace(plain, measured=replace(plain.measured, tuned=side))
    assert columns(judged("a", 0.8), other).columns[1].loss == pytest.approx(
        columns(judged("a", 0.8), plain).columns[1].loss
    )


def test_pieces_of_a_row_are_one_row() -> None:
    plain = judged("b", 0.7)
    assert plain.measured.tuned is not None
    halves = tuple(
        replace(score, nll=score.nll / 2, bytes=size)
        for score in plain.measured.tuned.held_out
        for size in (score.bytes // 2, score.bytes - score.bytes // 2)
    )
    side = replace(plain.measured.tuned, held_out=halves)
    pieces = replace(plain, measured=replace(plain.measured, tuned=side))
    found = columns(judged("a", 0.8), pieces)
    assert found.rows == 40
    assert found.columns[1].loss == pytest.approx(columns(plain, plain).columns[0].loss)


def test_what_cannot_be_compared_is_refused() -> None:
    first = judged("a", 0.8, range(1, 21))
    with pytest.raises(
        DataError, match=r"a and b were not judged on any row .* \(20 rows and 20\)"
    ):
        columns(first, judged("b", 0.7, range(21, 41)))
    with pytest.raises(DataError, match="No row was held out in all 3 runs"):
        columns(first, judged("b", 0.7, range(1, 11)), judged("c", 0.7, range(11, 31)))
    with pytest.raises(DataError, match=r"b was not measured .* evaluate\.level=standard"):
        columns(first, judged("b", 0.7, measured=Measured()))
    without = Side(held_out=tuple(replace(s, bytes=0) for s in make_scores(0.7)))
    with pytest.raises(DataError, match="b was measured without the length"):
        columns(first, judged("b", 0.7, measured=Measured(tuned=without)))
    with pytest.raises(DataError, match="not judged on any row"):
        columns(first, judged("b", 0.7, contents={}))


def test_few_rows_and_a_held_run_are_told() -> None:
    held = judged("b", 0.7, range(1, 5))
    held = replace(held, verdict={**held.verdict, "decision": "hold"})
    found = columns(judged("a", 0.8), held)
    assert "4 rows in common are too few" in found.notes[0]
    assert found.sentence.endswith("; the verdict on b is hold.")
    assert columns(judged("a", 0.8), judged("b", 0.7)).notes == ()


def test_the_table_and_the_page_say_the_same() -> None:
    bare = judged("b", 0.7)
    assert bare.measured.tuned is not None
    side = replace(bare.measured.tuned, answers=(), cost=None)
    bare = replace(bare, measured=replace(bare.measured, base=None, tuned=side))
    found = columns(judged("<a>", 0.8), bare)
    table = table_of(found)
    rows = {row[0]: row[1:] for row in table.rows}
    assert table.heads == ("", "<a>", "b")
    assert rows["verdict"] == ["ship", "ship"]
    assert rows["tokens a request"] == ["100", "not measured"]
    assert rows["  its base"][1] == "not measured"
    page = render_comparison(found)
    assert "<a>" not in page
    assert "Difference to &lt;a&gt;" in page
    assert page.count("<svg") == 3
    assert "http" not in page
    assert "src=" not in page


def _answering(name: str, wrong: int) -> Judged:
    """Two classes, forty rows, of which the first `wrong` are answered with the other class."""
    made = judged(name, 0.8)
    assert made.measured.tuned is not None
    answers = tuple(
        replace(
            each,
            reference="yes" if row % 2 else "no",
            answer="yes" if bool(row % 2) != (row < wrong) else "no",
        )
        for row, each in enumerate(made.measured.tuned.answers)
    )
    tuned = replace(made.measured.tuned, answers=answers)
    grading = Grading(("label_accuracy", "macro_f1"), "two classes")
    return replace(made, measured=replace(made.measured, tuned=tuned, grading=grading))


def test_numbers_of_all_answers_together_are_compared_on_the_same_rows() -> None:
    found = columns(_answering("a", 16), _answering("b", 2), _answering("c", 16))
    f1 = [
        next(each for each in column.metrics if each["name"] == "macro-F1")
        for column in found.columns
    ]
    assert [each["tuned"] for each in f1] == pytest.approx([0.6, 0.95, 0.6])
    better, same = f1[1], f1[2]
    assert better["change"] == pytest.approx(0.35)
    assert 0 < better["low"] < 0.35 < better["high"]
    assert (same["change"], same["low"], same["high"]) == (0, 0, 0)
    assert any(row[0] == "macro-F1" for row in table_of(found).rows)
