"""Tables as text: CSV, and TSV as spreadsheets write it. The first row names the columns.

Read strictly: a stray quote or a cell too many is an error that names its line, for the row that
would come of it is not the one that was meant.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import chain

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Row
from tunesmith.data.sources import limits
from tunesmith.data.sources.opened import Content
from tunesmith.data.sources.rows import (
    MARK,
    Block,
    Place,
    Placed,
    changed,
    decode_text,
    in_blocks,
    pieces,
    start_of,
    too_long,
)

_SEPARATORS = ",;\t"


def table_blocks(content: Content) -> Iterator[Block]:
    """The rows below the header; each cell is a string."""
    table = _Table(content)
    empty = True
    for block in in_blocks(table.placed()):
        empty = False
        yield block
    if empty:
        raise DataError(f"{content.path} holds a header and no rows. Add rows, or leave it out.")


def table_again(content: Content, places: Sequence[Place]) -> Iterator[Row]:
    """The rows in these places, ascending. Raises DataError where there is none any more."""
    table = _Table(content)
    for place, data in zip(places, pieces(content.stream, places, table.at), strict=True):
        try:
            # Lines end where they did: at "\n" alone.
            lines = StringIO(data.decode(), newline="\n")
            (cells,) = csv.reader(lines, delimiter=table.separator, strict=True)
            yield table.row(place.origin, cells)
        except (csv.Error, ValueError, DataError):
            raise DataError(changed(place.origin)) from None


class _Table:
    """A stream that stands behind the header of its table.

    `at` is the byte at which it stands, `names` are the columns, `separator` stands between cells:
    in a .csv file the one of comma, semicolon and tab that the header holds most of.
    """

    def __init__(self, content: Content) -> None:
        csv.field_size_limit(limits.ROW)
        self._path, self._stream = content.path, content.stream
        self._line = self.at = self._row_at = 0
        header = self._next_line()
        while header and not header.strip():
            header = self._next_line()
        if not header:
            raise DataError(
                f"{content.path} is empty: it holds no rows. A table begins with a row that names "
                "its columns."
            )
        is_tsv = content.ending in (".tsv", ".tab")
        self.separator = "\t" if is_tsv else max(_SEPARATORS, key=_unquoted(header).count)
        self.names = self._header(header)

    def placed(self) -> Iterator[Placed]:
        """The rows, each by the line on which it begins; blank lines are skipped."""
        reader = csv.reader(iter(self._next_line, ""), delimiter=self.separator, strict=True)
        while (record := self._next(reader)) is not None:
            origin, cells = record
            if cells:
                yield Placed(self.row(origin, cells), self._row_at, self.at - self._row_at)

    def row(self, origin: Origin, cells: Sequence[str]) -> Row:
        """The row of some cells. Raises DataError if there are more or fewer than columns."""
        if len(cells) != len(self.names):
            raise DataError(
                f"{origin}: the row has {len(cells)} cells, but the header names "
                f"{len(self.names)} columns ({start_of(', '.join(self.names))}). A cell that holds "
                f"a {_spoken(self.separator)} must stand in double quotes."
            )
        return Row(origin, dict(zip(self.names, cells, strict=True)))

    def _next(self, reader: Iterator[list[str]]) -> tuple[Origin, list[str]] | None:
        """The cells of the next row; None at the end."""
        self._row_at = self.at
        origin = Origin(self._path, self._line + 1)
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise self._broken(origin, error) from None
        return None if cells is None else (origin, cells)

    def _header(self, header: str) -> tuple[str, ...]:
        lines = chain([header], iter(self._next_line, ""))
        reader = csv.reader(lines, delimiter=self.separator, strict=True)
        origin = Origin(self._path, self._line)
        try:
            names = [name.strip() for name in next(reader)]
        except csv.Error as error:
            raise self._broken(origin, error) from None
        require_names(str(origin), names)
        return tuple(names)

    def _next_line(self) -> str:
        """The next line with its end; empty at the end of the file."""
        data = self._stream.readline(limits.ROW + 1)
        if self.at + len(data) - self._row_at > limits.ROW:
            raise too_long(self._path, self._line + 1, "a row that goes on in the line")
        text = decode_text(self._path, data, self._line + 1, self.at)
        self._line += 1
        self.at += len(data)
        return text.removeprefix(MARK.decode()) if self._line == 1 else text

    def _broken(self, origin: Origin, error: csv.Error) -> DataError:
        if "end of data" in str(error):
            return DataError(
                f"{origin}: a double quote is opened in the row that begins here and never closed. "
                "Close it; a quote inside quotes is written twice."
            )
        return DataError(
            f"{origin}: the row that begins here is no row of a table ({error}). A cell that holds "
            f'a line end, a quote or a {_spoken(self.separator)} must stand in double quotes ("), '
            "and a quote inside quotes is written twice."
        )


def require_names(where: str, names: Sequence[str]) -> None:
    """Check that each column has a name of its own.

    Raises:
        DataError: one has none, or two have the same.
    """
    for number, name in enumerate(names, start=1):
        if not name:
            raise DataError(
                f"{where}: column {number} of the header has no name. Name it or leave it out; "
                "pandas writes such a column unless it is told index=False."
            )
        if name in names[: number - 1]:
            raise DataError(
                f'{where}: columns {names.index(name) + 1} and {number} are both named "'
                f'{start_of(name)}", so a row could hold only one of them. Rename one.'
            )


def _unquoted(line: str) -> str:
    """What of a line stands outside double quotes."""
    return "".join(line.split('"')[::2])


def _spoken(separator: str) -> str:
    return {",": "comma", ";": "semicolon", "\t": "tab"}[separator]
