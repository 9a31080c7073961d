"""The forms a data file can have: one table, and how the form of a file is told.

By content where content tells: the first bytes of Parquet, the first brace or bracket of JSON. A
table and a text look like anything, so their names must say what they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tunesmith.core.errors import DataError
from tunesmith.core.records import Row
from tunesmith.data.sources.documents import document_again, document_blocks
from tunesmith.data.sources.json_arrays import array_blocks
from tunesmith.data.sources.json_lines import holds_lines, line_blocks, objects_again
from tunesmith.data.sources.opened import Content
from tunesmith.data.sources.packed import PACKINGS
from tunesmith.data.sources.rows import MARK, Block, Place
from tunesmith.data.sources.tables import table_again, table_blocks

_PARQUET = b"PAR1"


@dataclass(frozen=True, slots=True)
class Form:
    """A form of file.

    `blocks` makes its rows, and `again` those in some places, ascending; each is given the content
    at its beginning. `endings` are those that name the form, and `documents` says whether a file of
    it is one text rather than rows.
    """

    name: str
    endings: tuple[str, ...]
    blocks: Callable[[Content], Iterator[Block]]
    again: Callable[[Content, Sequence[Place]], Iterator[Row]]
    documents: bool = False


def _parquet_blocks(content: Content) -> Iterator[Block]:
    from tunesmith.data.sources.parquet import parquet_blocks  # brings pyarrow

    return parquet_blocks(content)


def _parquet_again(content: Content, places: Sequence[Place]) -> Iterator[Row]:
    from tunesmith.data.sources.parquet import parquet_again

    return parquet_again(content, places)


JSON_LINES = Form("JSON lines", (".jsonl", ".ndjson"), line_blocks, objects_again)
JSON = Form("JSON", (".json",), array_blocks, objects_again)
TABLE = Form("CSV", (".csv", ".tsv", ".tab"), table_blocks, table_again)
PARQUET = Form("Parquet", (".parquet",), _parquet_blocks, _parquet_again)
DOCUMENT = Form(
    "text", (".txt", ".md", ".markdown"), document_blocks, document_again, documents=True
)
FORMS = (JSON_LINES, JSON, TABLE, PARQUET, DOCUMENT)

BY_ENDING: Mapping[str, Form] = {ending: form for form in FORMS for ending in form.endings}

_UNPACK = "Unpack it and name what comes out."
_FOREIGN: tuple[tuple[int, bytes, str, str], ...] = (
    *((0, packing.magic, f"packed twice, {packing.name} inside", _UNPACK) for packing in PACKINGS),
    (0, b"PK\x03\x04", "a ZIP archive or an office document", "Unpack it, or save it as CSV."),
    (0, b"BZh", "packed with bzip2", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (257, b"ustar", "a tar archive", "Unpack it and name the folder."),
    (0, b"%PDF", "a PDF document", "Save its text."),
    (0, b"ARROW1", "an Arrow file", "Save it as Parquet."),
    (0, b"SQLite format 3", "a database", "Save its table as CSV."),
    (0, b"\xff\xfe", "UTF-16", "Save it as UTF-8."),
    (0, b"\xfe\xff", "UTF-16", "Save it as UTF-8."),
)
"""Where, what stands there, what it means, what to do: forms that are known and not read."""

_JSON = re.compile(rb'\s*(\{\s*["}]|\[\s*\{)')


def form_of(content: Content) -> Form:
    """The form of a file, told by its first lines, which are read.

    Raises:
        DataError: it is one that is not read, or not what its name says.
    """
    head = _first_lines(content)
    if head.startswith(_PARQUET):
        return PARQUET
    for at, magic, what, do in _FOREIGN:
        if head.startswith(magic, at):
            raise DataError(f"{content.path} is {what}, which is not read. {do}")
    named = BY_ENDING.get(content.ending)
    if named is PARQUET:
        raise DataError(
            f"{content.path} ends in {content.ending}, but does not begin as a Parquet file does. "
            "Fetch or write it again."
        )
    if (named is TABLE or named is DOCUMENT) and not _JSON.match(head.removeprefix(MARK)):
        return named
    return JSON_LINES if holds_lines(head, bool(content.stream.peek(1))) else JSON


def _first_lines(content: Content) -> bytes:
    """About a block of whole lines, the first of which is not blank."""
    head = content.next_lines()
    while head and not head.removeprefix(MARK).strip():
        head = content.next_lines()
    return head
