"""PDF documents to the lines of their text, page by page.

The text is what the file says that it shows, in the order in which it says so. Pages that are
pictures have none, and a document of such pages is refused. A line's number is that of its page.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import SEEK_END, BufferedReader, BytesIO

from pypdf import PdfReader
from pypdf.errors import DependencyError

from tunesmith.core.errors import DataError
from tunesmith.data.sources.opened import Content
from tunesmith.data.sources.rows import start_of
from tunesmith.data.sources.sections import LINE, PAGE, PARAGRAPH, Line

_TAIL = 1 << 14
"""Bytes in which the end must stand; readers look for it in the last 1,024."""

_END = re.compile(rb"[\r\n]%%EOF|%%EOF[^\r\n]*\s*\Z")

logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what matters of it is said here


def pdf_lines(content: Content) -> Iterator[Line]:
    """The lines of a document, read page by page.

    Raises:
        DataError: it is damaged, needs a password, or holds no text.
    """
    stream = content.seekable("a packed PDF document")
    _require_end(content.path, stream)
    with _said(content.path):
        reader = PdfReader(stream)
        if reader.is_encrypted and not _opened(reader):
            raise DataError(
                f"{content.path} is encrypted. Save it without a password, or save its text."
            )
        pages = len(reader.pages)
    blank = True
    for number in range(1, pages + 1):
        with _said(f"{content.path}:{number}"):
            text = reader.pages[number - 1].extract_text()
        blank = blank and not text.strip()
        yield from _lines(text, number)
    if blank:
        raise DataError(
            f"{content.path} holds no text on its pages (it has {pages}): they are pictures, or "
            "blank. Have the text of scanned pages recognised (OCR) and saved, or leave it out."
        )


def _require_end(path: str, stream: BufferedReader | BytesIO) -> None:
    """Raises DataError if the file does not end as PDF does.

    pypdf would look for that end line by line through all of the file, for minutes in a large one.
    """
    size = stream.seek(0, SEEK_END)
    stream.seek(max(0, size - _TAIL))
    if not _END.search(stream.read(_TAIL)):
        raise DataError(
            f"{path} is cut off: the end of its PDF document is missing. Fetch or save it again."
        )
    stream.seek(0)


def _lines(text: str, number: int) -> Iterator[Line]:
    """The lines of a page. A NUL or half a character, which fonts may map to, is marked as such."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = text.replace("\0", "\ufffd").replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    rank = PAGE
    for line in text.split("\n"):
        yield Line(f"{line}\n", number, rank)
        rank = LINE if line.strip() else PARAGRAPH


def _opened(reader: PdfReader) -> bool:
    """Whether a document that is encrypted opens without a password, as most such do."""
    try:
        return bool(reader.decrypt(""))
    except DependencyError:
        return False


@contextmanager
def _said(where: str) -> Iterator[None]:
    """Turns whatever a broken file makes pypdf trip over into what to do about it."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        reason = start_of(str(error).split("\n", 1)[0]).rstrip(".") or type(error).__name__
        raise DataError(
            f"{where}: the PDF document is damaged, or holds what cannot be read ({reason}). Save "
            "it again from a viewer, or save its text."
        ) from None
