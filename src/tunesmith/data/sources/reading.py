"""Files in, rows out: a block at a time, or the rows in some places again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tunesmith.core.records import Row
from tunesmith.data.sources.forms import Form, form_of
from tunesmith.data.sources.names import expand
from tunesmith.data.sources.opened import opened
from tunesmith.data.sources.rows import Block, Place


def read(names: Iterable[str]) -> list[Row]:
    """All rows that stand under some names, in order, at once.

    Raises:
        DataError: see `expand` for what a name and `blocks` for what a file may be.
    """
    return [row for path in expand(names).files for row in rows_of(path)]


def rows_of(path: str) -> Iterator[Row]:
    """The rows of one file, in order; raises as `blocks` does."""
    return (placed.row for block in blocks(path) for placed in block.rows())


def blocks(path: str) -> Iterator[Block]:
    """The rows of one file, in order, a block at a time, and a block about a megabyte.

    Rows are read as they are asked for, so the memory needed does not grow with the file; only a
    JSON array, an HTML page, a Word document, and packed files of Parquet, PDF and DOCX are held
    whole. The origin of a row is the 1-based line on which it starts (in Parquet its number, in PDF
    the page, in DOCX the paragraph), and its place there where others start there, too; the path is
    kept as it was given. Blank lines of JSON lines and tables are skipped and counted.

    Raises (here, or where a block makes its rows):
        DataError: a file that is missing, a folder, empty, damaged, not UTF-8 or not of its form,
            or that holds something other than rows. The sentence names file and line.
    """
    form = described(path)
    with opened(path) as content:
        yield from form.blocks(content)


def rows_at(path: str, places: Sequence[Place]) -> list[Row]:
    """The rows of a file that stood in these places, in their order, read in one pass.

    Raises:
        DataError: in one of them there is no row any more.
    """
    order = sorted(range(len(places)), key=lambda number: _position(places[number]))
    form = described(path)
    with opened(path) as content:
        rows = list(form.again(content, [places[number] for number in order]))
    return [row for _, row in sorted(zip(order, rows, strict=True), key=lambda pair: pair[0])]


def described(path: str) -> Form:
    """The form of a file.

    Raises:
        DataError: it cannot be opened, or is of a form that is not read.
    """
    with opened(path) as content:
        return form_of(content)


def _position(place: Place) -> tuple[int, int]:
    """Where in its file: in Parquet, where no bytes are kept, by its number."""
    return place.start, place.origin.line
