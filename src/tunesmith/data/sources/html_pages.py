"""HTML pages to the lines of their text, written as Markdown writes headings, lists and tables.

What a browser would show is kept, menus included; the head, scripts, styles, comments and hidden
parts are not text. Paragraphs are divided by blank lines, and each keeps the line of the file on
which it begins. Nothing that a page names is fetched.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import suppress

from bs4 import BeautifulSoup
from bs4.dammit import EncodingDetector
from bs4.element import NavigableString, PreformattedString, Tag

from tunesmith.core.errors import DataError
from tunesmith.data.sources import limits
from tunesmith.data.sources.opened import Content
from tunesmith.data.sources.paragraphs import (
    CELLS,
    HEADINGS,
    ITEM,
    VERBATIM,
    Paragraph,
    written,
)
from tunesmith.data.sources.rows import MARK, decode_text, no_nul, start_of
from tunesmith.data.sources.sections import Line

_SILENT = {"head", "script", "style", "template", "noscript", "svg", "iframe", "datalist"}
_NAMING = {*HEADINGS, ITEM, CELLS, VERBATIM}
_BLOCKS = {
    *("address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "dialog"),
    *("div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr"),
    *("html", "legend", "main", "nav", "ol", "p", "section", "summary", "table", "tbody", "tfoot"),
    *("thead", "ul", *_NAMING),
}

_SPACE = re.compile(r"[ \t\n\r\f]+")
_AROUND = re.compile(r" *\n *| {2,}")
"""Spaces at line ends, and doubled ones: neither is shown."""


def html_lines(content: Content) -> Iterator[Line]:
    """The lines of a page.

    Raises:
        DataError: it is larger than `limits.PAGE`, or in no encoding that is known.
    """
    data = content.at_most(limits.PAGE)
    if data is None:
        raise DataError(
            f"{content.path} is a page of more than {limits.told(limits.PAGE)}, which would take "
            "too much memory. Save its text, or split it."
        )
    text = _decoded(content.path, data).replace("\r\n", "\n").replace("\r", "\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # short pages look like names of files to it
        try:
            page = BeautifulSoup(text, "html.parser", multi_valued_attributes=None)
        except Exception as error:  # it raises whatever broken markup makes it trip over
            reason = start_of(str(error).rsplit("\n", 1)[-1]).rstrip(".")
            raise DataError(
                f"{content.path} is no HTML that can be read ({reason}). Save its text."
            ) from None
    return written(_Reader().paragraphs(page))


def _decoded(path: str, data: bytes) -> str:
    """The text of a page: UTF-8, or where it is not, what it says that it is in."""
    named = EncodingDetector.find_declared_encoding(data, is_html=True)
    with suppress(UnicodeDecodeError):
        return no_nul(path, data.removeprefix(MARK).decode(), 1)
    with suppress(UnicodeError, LookupError):
        text = data.decode(named or "utf-8")
        text.encode()  # some encodings can spell halves of characters
        return no_nul(path, text, 1)
    return decode_text(path, data.removeprefix(MARK), 1, 0)


class _Reader:
    """Gathers the text of a page into paragraphs, as its blocks begin and end.

    `_parts` is the text of the block that is read, `_kind` how it is to be written, and `_number`
    the line on which it begins.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blank = True
        self._kind, self._number = "", 1
        self._verbatim = 0

    def paragraphs(self, page: BeautifulSoup) -> Iterator[Paragraph]:
        """The paragraphs of a page, which may be nested more deeply than Python's own stack."""
        tags: list[Tag] = []
        waiting = [iter(page.contents)]
        while waiting:
            node = next(waiting[-1], None)
            if node is None:
                waiting.pop()
                if tags:
                    yield from self._end(tags.pop())
            elif isinstance(node, Tag):
                if node.name not in _SILENT and not node.has_attr("hidden"):
                    yield from self._begin(node)
                    tags.append(node)
                    waiting.append(iter(node.contents))
            elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):
                self._add(str(node) if self._verbatim else _SPACE.sub(" ", node))
        yield from self._block()

    def _begin(self, tag: Tag) -> Iterator[Paragraph]:
        if tag.name in _BLOCKS:
            yield from self._block()
            self._kind = tag.name if tag.name in _NAMING else self._kind
            self._verbatim += tag.name == VERBATIM
        elif tag.name == "br":
            self._add("\n")
        elif tag.name in ("td", "th") and not self._blank:
            self._add(" | ")
        if self._blank:
            self._number = tag.sourceline or self._number

    def _end(self, tag: Tag) -> Iterator[Paragraph]:
        if tag.name in _BLOCKS:
            yield from self._block()
            self._kind = ""
            self._verbatim -= tag.name == VERBATIM

    def _add(self, text: str) -> None:
        self._parts.append(text)
        self._blank = self._blank and not text.strip()

    def _block(self) -> Iterator[Paragraph]:
        """The block that ends here, if it has text."""
        text, blank, kind = "".join(self._parts), self._blank, self._kind
        self._parts, self._blank = [], True
        if blank:
            return
        self._kind = ""
        if not self._verbatim:
            text = _AROUND.sub(lambda found: "\n" if "\n" in found[0] else " ", text).strip()
        yield Paragraph(text.strip("\n"), self._number, kind)
