"""What the report shows of tagged words: figures by type, mistakes, and rows with their spans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tunesmith.core.spans import spans
from tunesmith.evaluate.labels import fields
from tunesmith.evaluate.labels.measured import LabelMeasured, Said
from tunesmith.evaluate.tables import Table
from tunesmith.evaluate.wording import number

_WRONG = 12


class Piece(NamedTuple):
    """Words that stand in one span, or outside of all: then `kind` is empty."""

    text: str
    kind: str


class MarkedRow(NamedTuple):
    """A row as it was to be tagged, and as it was."""

    origin: str
    wanted: list[Piece]
    said: list[Piece]


def tag_tables(measured: LabelMeasured) -> list[Table]:
    """Each type, and the commonest mistakes."""
    types = [
        [kind, number(precision), number(recall), number(_f1(precision, recall)), f"{count:,}"]
        for kind, precision, recall, count in fields.by_type(measured.held_out)
    ]
    wrong = [
        [wanted, said, f"{count:,}"] for wanted, said, count in fields.mistakes(measured.held_out)
    ]
    tables = [Table(("Type", "Precision", "Recall", "F1", "Held-out spans"), types)]
    return tables + ([Table(("Wanted", "Said instead", "Spans"), wrong)] if wrong else [])


def marked_rows(measured: LabelMeasured) -> list[MarkedRow]:
    """Rows with a wrong span, those of which the model was surest first."""
    wrong = [row for row in measured.held_out if spans(row.wanted) != spans(row.said)]
    surest = sorted(wrong, key=lambda row: -row.sure)[:_WRONG]
    return [
        MarkedRow(str(row.origin), list(_pieces(row, row.wanted)), list(_pieces(row, row.said)))
        for row in surest
    ]


def _pieces(row: Said, tags: Sequence[str]) -> Iterator[Piece]:
    """The words of a row, divided where a span begins or ends."""
    place = 0
    for span in spans(tags):
        if place < span.start:
            yield Piece(" ".join(row.words[place : span.start]), "")
        yield Piece(" ".join(row.words[span.start : span.end]), span.kind)
        place = span.end
    if place < len(row.words):
        yield Piece(" ".join(row.words[place:]), "")


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
