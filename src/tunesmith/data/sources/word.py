"""Word documents (DOCX) to the lines of their text, written as Markdown writes headings and lists.

All text of the body is kept, in tables, text boxes, content controls and insertions that were
tracked, too; text that was deleted is not, nor are headers, footers, notes and comments. A line's
number is that of its paragraph or row of a table. Nothing that a document names is fetched.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from typing import Any

import docx
from docx.oxml.ns import qn

from tunesmith.core.errors import DataError
from tunesmith.data.sources import limits
from tunesmith.data.sources.opened import Content
from tunesmith.data.sources.paragraphs import CELLS, ITEM, Paragraph, written
from tunesmith.data.sources.rows import start_of
from tunesmith.data.sources.sections import Line

_PARAGRAPH, _TABLE, _ROW, _CELL = qn("w:p"), qn("w:tbl"), qn("w:tr"), qn("w:tc")
_TEXTS = (qn("w:t"), "{http://schemas.openxmlformats.org/officeDocument/2006/math}t")
_SIGNS = {
    qn("w:tab"): "\t",
    qn("w:br"): "\n",
    qn("w:cr"): "\n",
    qn("w:noBreakHyphen"): "-",
}
_SILENT = {
    *(qn("w:pPr"), qn("w:rPr"), qn("w:del"), qn("w:moveFrom"), qn("w:sectPr")),
    # A text box stands twice in the file: as it is drawn now, and for readers of long ago.
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
}
_HEADING = re.compile(r"heading ([1-6])$", re.IGNORECASE)


def word_lines(content: Content) -> Iterator[Line]:
    """The lines of a document.

    Raises:
        DataError: it is damaged, encrypted, or unpacks out of proportion.
    """
    stream = content.seekable("a packed Word document")
    try:
        _require_proportion(content, zipfile.ZipFile(stream))
        stream.seek(0)
        paragraphs = list(_paragraphs(docx.Document(stream)))
    except DataError:
        raise
    except Exception as error:  # it raises whatever a broken part makes it trip over
        reason = start_of(str(error).split("\n", 1)[0]).rstrip(".") or type(error).__name__
        raise DataError(
            f"{content.path} is damaged, or no Word document that can be read ({reason}). Open it "
            "in a word processor and save it again as DOCX, or save its text."
        ) from None
    return written(paragraphs)


def _require_proportion(content: Content, archive: zipfile.ZipFile) -> None:
    """Check what the parts say that they unpack to; no more of them is ever unpacked.

    Raises:
        DataError: it is too much, as in files that are made to fill a memory.
    """
    sizes = {part.filename: part.file_size for part in archive.infolist()}
    trees = (size for name, size in sizes.items() if name.lower().endswith((".xml", ".rels")))
    most = max(limits.FREE, limits.RATIO * content.size)
    if sum(sizes.values()) > most or max(trees, default=0) > limits.TREE:
        raise DataError(
            f"{content.path} unpacks to more than {limits.told(most)}, or a part of it to more "
            f"than {limits.told(limits.TREE)}, as files do that are made to fill a memory. If you "
            "trust it, save its text."
        )


def _paragraphs(document: Any) -> Iterator[Paragraph]:
    kinds = _headings(document)
    for number, block in enumerate(_blocks(document.element.body), start=1):
        if block.tag == _ROW:
            cells = (" ".join(_text(cell).split()) for cell in _outermost(block, {_CELL}))
            text, kind = " | ".join(cells), CELLS
        else:
            text, kind = _text(block).strip("\n"), _kind(block, kinds)
        if text.strip():
            yield Paragraph(text, number, kind)


def _headings(document: Any) -> dict[str, str]:
    """The kind of heading of each style that is one, by the style's id."""
    kinds: dict[str, str] = {}
    for style in document.styles:
        name = style.name or ""
        if found := _HEADING.match(name):
            kinds[style.style_id] = f"h{found[1]}"
        elif name.lower() == "title":
            kinds[style.style_id] = "h1"
    return kinds


def _kind(paragraph: Any, headings: dict[str, str]) -> str:
    properties = paragraph.find(qn("w:pPr"))
    if properties is None:
        return ""
    style = properties.find(qn("w:pStyle"))
    if style is not None and (kind := headings.get(style.get(qn("w:val")))):
        return kind
    return ITEM if properties.find(qn("w:numPr")) is not None else ""


def _blocks(body: Any) -> Iterator[Any]:
    """The paragraphs and rows of tables, in order."""
    for block in _outermost(body, {_PARAGRAPH, _TABLE}):
        if block.tag == _TABLE:
            yield from _outermost(block, {_ROW})
        else:
            yield block


def _outermost(element: Any, tags: set[str]) -> Iterator[Any]:
    """The elements of some tags below one, without those that stand inside another of them."""
    for child in element:
        if child.tag in tags:
            yield child
        elif child.tag not in _SILENT:
            yield from _outermost(child, tags)


def _text(element: Any) -> str:
    return "".join(_pieces(element))


def _pieces(element: Any) -> Iterator[str]:
    for child in element:
        if child.tag in _TEXTS:
            yield child.text or ""
        elif child.tag in _SIGNS:
            yield _SIGNS[child.tag]
        elif child.tag not in _SILENT:
            inside = "\n" if child.tag == _PARAGRAPH else ""  # of a text box, or of a cell
            yield inside
            yield from _pieces(child)
            yield inside
