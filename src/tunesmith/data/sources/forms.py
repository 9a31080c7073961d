"""The forms a data file can have: one table, and how the form of a file is told.

By content where content tells: the first bytes of Parquet or PDF, the first brace or bracket of
JSON. A table and a text look like anything, so their names must say what they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from tunesmith.core.errors import DataError
from tunesmith.core.records import Row
from tunesmith.data.sources.documents import Lines, document_again, file_blocks, text_blocks
from tunesmith.data.sources.images import image_again, image_blocks
from tunesmith.data.sources.json_arrays import array_blocks
from tunesmith.data.sources.json_lines import holds_lines, line_blocks, objects_again
from tunesmith.data.sources.opened import Content
from tunesmith.data.sources.packed import PACKINGS
from tunesmith.data.sources.rows import MARK, Block, Place
from tunesmith.data.sources.sections import Line
from tunesmith.data.sources.tables import table_again, table_blocks
from tunesmith.data.sources.texts import code_lines, markdown_lines, plain_lines

_PARQUET = b"PAR1"
_PDF = b"%PDF"
_ZIP = b"PK\x03\x04"
_JUNK = 1024
"""Bytes that readers of PDF pass over before it."""

Holds = Literal["rows", "document", "code", "image"]


@dataclass(frozen=True, slots=True)
class Form:
    """A form of file.

    `blocks` makes its rows, and `again` those in some places, ascending; each is given the content
    at its beginning. `endings` are those that name the form, and `holds` says what a file of it is.
    `reader` is the package that takes it apart, where that is not ours: what it gives may change
    with its version.
    """

    name: str
    endings: tuple[str, ...]
    blocks: Callable[[Content], Iterator[Block]]
    again: Callable[[Content, Sequence[Place]], Iterator[Row]]
    holds: Holds = "rows"
    reader: str | None = None

    def identity(self) -> list[str]:
        """What the rows of a file follow from besides its bytes."""
        if self.reader is None:
            return [self.name]
        try:
            return [self.name, self.reader, version(self.reader)]
        except PackageNotFoundError:  # which reading the file will tell of
            return [self.name, self.reader]


def _parquet_blocks(content: Content) -> Iterator[Block]:
    from tunesmith.data.sources.parquet import parquet_blocks  # brings pyarrow

    return parquet_blocks(content)


def _parquet_again(content: Content, places: Sequence[Place]) -> Iterator[Row]:
    from tunesmith.data.sources.parquet import parquet_again

    return parquet_again(content, places)


def _text(name: str, endings: tuple[str, ...], lines: Lines, holds: Holds = "document") -> Form:
    again = partial(document_again, lines)
    return Form(name, endings, partial(text_blocks, lines), again, holds)


def _taken_apart(name: str, endings: tuple[str, ...], lines: Lines, reader: str) -> Form:
    again = partial(document_again, lines)
    return Form(name, endings, partial(file_blocks, lines), again, "document", reader)


def _lines_by(module: str, function: str, package: str, content: Content) -> Iterator[Line]:
    """The lines of a form whose reader is an extra. Raises DataError if that is not installed."""
    try:
        found: Any = import_module(f"tunesmith.data.sources.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tunesmith"):
            raise
        raise DataError(
            f"{content.path} is read with the package {package}, which is not installed. Install "
            "what documents need: pip install 'tunesmith[documents]'."
        ) from None
    lines: Iterator[Line] = getattr(found, function)(content)
    return lines


JSON_LINES = Form("JSON lines", (".jsonl", ".ndjson"), line_blocks, objects_again)
JSON = Form("JSON", (".json",), array_blocks, objects_again)
TABLE = Form("CSV", (".csv", ".tsv", ".tab"), table_blocks, table_again)
PARQUET = Form("Parquet", (".parquet",), _parquet_blocks, _parquet_again)
TEXT = _text("text", (".txt",), plain_lines)
MARKDOWN = _text("Markdown", (".md", ".markdown"), markdown_lines)
PDF = _taken_apart("PDF", (".pdf",), partial(_lines_by, "pdf", "pdf_lines", "pypdf"), "pypdf")
WORD = _taken_apart(
    "DOCX", (".docx",), partial(_lines_by, "word", "word_lines", "python-docx"), "python-docx"
)
HTML = _taken_apart(
    "HTML",
    (".html", ".htm", ".xhtml"),
    partial(_lines_by, "html_pages", "html_lines", "beautifulsoup4"),
    "beautifulsoup4",
)
CODE = _text(
    "source code",
    (
        *(".py", ".pyi", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".vue", ".svelte"),
        *(".java", ".kt", ".kts", ".scala", ".groovy", ".go", ".rs", ".c", ".h", ".cc", ".cpp"),
        *(".cxx", ".hh", ".hpp", ".cu", ".cuh", ".m", ".mm", ".cs", ".fs", ".vb", ".swift"),
        *(".rb", ".php", ".pl", ".pm", ".lua", ".r", ".jl", ".dart", ".ex", ".exs", ".erl"),
        *(".hs", ".ml", ".mli", ".clj", ".lisp", ".el", ".zig", ".nim", ".v", ".vhd", ".sol"),
        *(".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat", ".sql", ".proto", ".graphql", ".tf"),
        *(".css", ".scss", ".less", ".cmake", ".gradle", ".asm", ".s"),
    ),
    code_lines,
    "code",
)
SETTINGS = _text("settings", (".yaml", ".yml", ".toml", ".ini", ".cfg"), plain_lines, "code")
IMAGE = Form(
    "image",
    (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    image_blocks,
    image_again,
    "image",
)
FORMS = (
    *(JSON_LINES, JSON, TABLE, PARQUET, TEXT, MARKDOWN, PDF, WORD, HTML, CODE, SETTINGS, IMAGE),
)

BY_ENDING: Mapping[str, Form] = {ending: form for form in FORMS for ending in form.endings}

_UNPACK = "Unpack it and name what comes out."
_FOREIGN: tuple[tuple[int, bytes, str, str], ...] = (
    *((0, packing.magic, f"packed twice, {packing.name} inside", _UNPACK) for packing in PACKINGS),
    (0, _ZIP, "a ZIP archive or an office document", "Unpack it, or save it as CSV or DOCX."),
    (0, b"BZh", "packed with bzip2", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (257, b"ustar", "a tar archive", "Unpack it and name the folder."),
    (0, b"ARROW1", "an Arrow file", "Save it as Parquet."),
    (0, b"SQLite format 3", "a database", "Save its table as CSV."),
    (0, b"\xff\xfe", "UTF-16", "Save it as UTF-8."),
    (0, b"\xfe\xff", "UTF-16", "Save it as UTF-8."),
)
"""Where, what stands there, what it means, what to do: forms that are known and not read."""

_JSON = re.compile(rb'\s*(\{\s*["}]|\[\s*\{)')


def form_of(content: Content) -> Form:
    """The form of a file, told by its first lines, which are read, or by its name.

    Raises:
        DataError: it is one that is not read, or not what its name says.
    """
    named = BY_ENDING.get(content.ending)
    if named is IMAGE:
        return IMAGE
    head = _first_lines(content)
    if binary := _binary(content.path, head, named):
        return binary
    if named in (PARQUET, PDF, WORD):
        raise DataError(
            f"{content.path} ends in {content.ending}, but does not begin as a {named.name} file "
            "does. Fetch or write it again."
        )
    is_json = named is None or named in (JSON_LINES, JSON)
    if named in (TABLE, TEXT, MARKDOWN):
        is_json = bool(_JSON.match(head.removeprefix(MARK)))
    if named is not None and not is_json:
        return named
    return JSON_LINES if holds_lines(head, bool(content.stream.peek(1))) else JSON


def _binary(path: str, head: bytes, named: Form | None) -> Form | None:
    """The form whose first bytes these are; raises as `form_of` does."""
    if head.startswith(_PARQUET):
        return PARQUET
    if head.startswith(_PDF) or (named is PDF and _PDF in head[:_JUNK]):
        return PDF
    if named is WORD and head.startswith(_ZIP):
        return WORD
    for at, magic, what, do in _FOREIGN:
        if head.startswith(magic, at):
            raise DataError(f"{path} is {what}, which is not read. {do}")
    return None


def _first_lines(content: Content) -> bytes:
    """About a block of whole lines, the first of which is not blank."""
    head = content.next_lines()
    while head and not head.removeprefix(MARK).strip():
        head = content.next_lines()
    return head
