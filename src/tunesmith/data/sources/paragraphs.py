"""Paragraphs to lines, written as Markdown writes headings, lists and the rows of tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tunesmith.data.sources.sections import LINE, PARAGRAPH, Line

HEADINGS = {f"h{level}": level for level in range(1, 7)}
ITEM, CELLS, VERBATIM = "li", "tr", "pre"

_WRITTEN = {ITEM: "- ", **{kind: "#" * level + " " for kind, level in HEADINGS.items()}}
_TIGHT = {ITEM, CELLS}
"""Kinds that follow each other without a blank line."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text that is not blank, where it begins (see `Line`), and its kind, named as in HTML: a
    heading, an item of a list, the cells of a table's row, or just text."""

    text: str
    number: int
    kind: str = ""


def written(paragraphs: Iterable[Paragraph]) -> Iterator[Line]:
    """The lines of some paragraphs, divided by blank ones."""
    before: str | None = None
    for each in paragraphs:
        tight = each.kind in _TIGHT and each.kind == before
        if before is not None and not tight:
            yield Line("\n", each.number)
        before = each.kind
        rank = LINE if tight else HEADINGS.get(each.kind, PARAGRAPH)
        for line in (_WRITTEN.get(each.kind, "") + each.text).split("\n"):
            yield Line(f"{line}\n", each.number, rank)
            rank = LINE
