"""Texts made to be slow: what is searched in them is bounded, so that each ends at once.

Each would take hours without its bound, and end in the time limit of tests.
"""

from __future__ import annotations

from tests.data.quality.planted import Rows, surveyed
from tunesmith.core.records import Completion, Label
from tunesmith.data.quality.courtesy import without_courtesy
from tunesmith.data.quality.edits import alike
from tunesmith.data.quality.labels import _slips


def test_thanks_are_looked_for_at_the_end() -> None:
    assert without_courtesy("thanks " * 300_000 + "x you") == "x you"
    assert len(without_courtesy("x " + "thanks you " * 200_000 + "zz you")) > 2_000_000
    assert without_courtesy("where is " * 100 + "my parcel thank you").endswith("my parcel")


def test_codes_are_no_words_with_slips() -> None:
    code = b"ACGT" * 8000
    assert not alike(code + b"A", code + b"C")
    assert alike(b"where did my parcel go", b"where did my parcle go")


def test_long_names_of_classes_are_no_names() -> None:
    assert len(_slips("x" * 12_000)) == 1
    rows = tuple(Label(f"text {n}", ("refund " * 9000 + str(n % 4),)) for n in range(8))
    assert "similar_label" not in {each.reason for each in surveyed(Rows(rows)).found}
    assert surveyed(Rows((Completion("Where?", "Here."),))).rows[0] == 1
