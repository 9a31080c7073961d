"""Documents: text, Markdown, PDF, DOCX and HTML become rows of text, each with its place."""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from pathlib import Path

import pytest
from pypdf import PdfWriter

from tools.documents import docx, pdf
from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Row
from tunesmith.data.sources import Place, blocks, described, limits, read, rows_at

PAGE = b"""<!DOCTYPE html>
<html><head><title>Shop</title><style>p { color: red }</style></head>
<body><script>track("you");</script>
<h1>How  to <b>order</b></h1>
<p>Choose a size,
then pay.<br>That is all &amp; enough.</p>
<!-- not said -->
<ul><li>Small</li><li><p>Large</p></li></ul>
<h2>Prices</h2>
<table><tr><th>Size</th><th>Price</th></tr><tr><td>S<td>3</tr></table>
<pre>a
   b</pre>
<div hidden>Secret</div>Bye.
</body></html>"""


def _file(folder: Path, data: bytes, name: str = "notes.txt") -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


def _text(folder: Path, data: bytes, name: str) -> str:
    (row,) = read([_file(folder, data, name)])
    return str(row.fields["text"])


def _found_again(path: str) -> list[Row]:
    """The rows, after each was read as other processes do, and once more by its place."""
    made = (pickle.loads(pickle.dumps(block)) for block in blocks(path))
    placed = [each for block in made for each in block.rows()]
    places = [Place(each.row.origin, each.start, each.size) for each in placed]
    rows = [each.row for each in placed]
    assert rows_at(path, places[::-2]) == rows[::-2]
    return rows


@pytest.mark.parametrize("name", ["notes.txt", "notes.md", "NOTES.MD", "notes.markdown"])
def test_a_short_text_is_a_row_with_plain_line_ends(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path, b"\xef\xbb\xbf# Size\r\n\r\nGr\xc3\xb6\xc3\x9fe\rand {more}\n", name)
    (row,) = _found_again(path)
    assert row.origin == Origin(path, 1)
    assert row.fields == {"text": "# Size\n\nGröße\nand {more}\n"}
    (block,) = blocks(path)
    places = [Place(each.row.origin, each.start, each.size) for each in block.rows()]
    with pytest.raises(DataError, match="the row is no longer what it was"):
        rows_at(_file(tmp_path, b"# Size", name), places)


def test_an_empty_document_is_a_row_that_the_ledger_can_tell_of(tmp_path: Path) -> None:
    for name in ("notes.txt", "notes.html"):
        assert [row.fields for row in read([_file(tmp_path, b"", name)])] == [{"text": ""}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\nb\0\n", r"notes\.txt:2: the file holds a NUL byte"),
        (b"a\n\xe4\n", r"notes\.txt:2: the file is not UTF-8: byte 0xe4 at offset 2"),
        (b"a\n" + b"a" * 101, r"notes\.txt:2: the line .* longer than 100 bytes"),
    ],
)
def test_what_is_no_text_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, message: str
) -> None:
    monkeypatch.setattr(limits, "ROW", 100)
    with pytest.raises(DataError, match=message):
        read([_file(tmp_path, data)])


@pytest.mark.parametrize("packed", [False, True])
def test_pages_of_a_pdf_stay_whole_and_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    pages = [[f"Page {number} (of five)", "Größe: 3 m"] for number in range(1, 6)]
    path = _file(tmp_path, pdf(pages, packed=packed), "guide.pdf")
    (whole,) = _found_again(path)
    assert whole.fields["text"] == "".join("\n".join(page) + "\n" for page in pages)
    monkeypatch.setattr(limits, "SECTION", 75)  # two pages, and the first line of another
    rows = _found_again(path)
    assert [str(row.origin) for row in rows] == [f"{path}:1", f"{path}:3", f"{path}:5"]
    assert "".join(row.fields["text"] for row in rows) == whole.fields["text"]


def test_a_pdf_is_told_by_its_content(tmp_path: Path) -> None:
    for name in ("guide.pdf", "guide.txt", "guide"):
        assert described(_file(tmp_path, pdf([["Hello."]]), name)).name == "PDF"
    assert _text(tmp_path, b"\r\n" + pdf([["Hello."]]), "late.pdf") == "Hello.\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pdf([[], []]), r"guide\.pdf holds no text on its pages \(it has 2\): .* \(OCR\)"),
        (pdf([["a"]], trailer="/Encrypt << >> "), r"guide\.pdf: the PDF document is damaged"),
        (b"a,b\n", r"guide\.pdf ends in \.pdf, but does not begin as a PDF file does"),
        (b"%PDF-1.7\n and so on\n", r"guide\.pdf is cut off"),
        (pdf([["a"]])[:-7] + b"\n" * 9_000_000, r"guide\.pdf is cut off: the end of its PDF"),
        (pdf([["a"] * 50])[:400] + b"\n%%EOF\n", r"guide\.pdf: the PDF document is damaged"),
    ],
)
def test_a_pdf_that_cannot_be_read_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read([_file(tmp_path, data, "guide.pdf")])
    assert str(caught.value).endswith(".")


def test_only_a_pdf_that_needs_its_password_is_refused(tmp_path: Path) -> None:
    for name, password in (("open.pdf", ""), ("shut.pdf", "secret")):
        writer = PdfWriter(io.BytesIO(pdf([["Hello."]])))
        writer.encrypt(password, "owner", algorithm="RC4-128")
        writer.write(tmp_path / name)
    assert read([str(tmp_path / "open.pdf")])[0].fields == {"text": "Hello.\n"}
    with pytest.raises(DataError, match=r"shut\.pdf is encrypted\. Save it without a password"):
        read([str(tmp_path / "shut.pdf")])


def test_a_docx_keeps_all_of_its_text_once(tmp_path: Path) -> None:
    body = (
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>In a control.</w:t></w:r></w:p></w:sdtContent></w:sdt>"
        "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Size</w:t></w:r></w:p></w:tc>"
        "<w:tc><w:p><w:r><w:t>two</w:t></w:r></w:p><w:p><w:r><w:t>lines</w:t></w:r></w:p></w:tc>"
        "</w:tr><w:tr><w:tc><w:tbl><w:tr><w:tc><w:p><w:r><w:t>inside</w:t></w:r></w:p></w:tc>"
        "</w:tr></w:tbl></w:tc></w:tr></w:tbl>"
        "<w:p><w:pPr><w:numPr/></w:pPr><w:ins><w:r><w:t>added</w:t><w:tab/><w:t>now</w:t></w:r>"
        "</w:ins><w:del><w:r><w:tab/><w:delText>gone</w:delText></w:r></w:del>"
        "<w:moveFrom><w:r><w:t>elsewhere</w:t></w:r></w:moveFrom></w:p>"
        "<w:p><w:r><w:t>Above the line</w:t><w:br/><w:t>and below.</w:t></w:r></w:p>"
    )
    paragraphs = [("Title", "Guide"), ("heading 2", "Sizes"), ("", "Small & <large>."), ("", " ")]
    path = _file(tmp_path, docx(paragraphs, body=body), "guide.docx")
    (row,) = _found_again(path)
    assert row.fields["text"] == (
        "# Guide\n\n## Sizes\n\nSmall & <large>.\n\nIn a control.\n\nSize | two lines\ninside\n\n"
        "- added\tnow\n\nAbove the line\nand below.\n"
    )


def test_a_docx_is_cut_at_its_headings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paragraphs = [("heading 1", "One"), ("", "a " * 20), ("heading 1", "Two"), ("", "b " * 20)]
    monkeypatch.setattr(limits, "SECTION", 60)
    path = _file(tmp_path, docx(paragraphs), "guide.docx")
    rows = _found_again(path)
    assert [str(row.origin) for row in rows] == [f"{path}:1", f"{path}:3"]
    assert rows[1].fields["text"].startswith("# Two\n\nb b")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04 and so on", r"guide\.docx is damaged, or no Word document .*\(.+\)"),
        (b"text", r"guide\.docx ends in \.docx, but does not begin as a DOCX file does"),
        (docx([("", "a")])[:-60], r"guide\.docx is damaged"),
        (b"\xd0\xcf\x11\xe0 of old", r"guide\.docx ends in \.docx, but does not begin"),
    ],
)
def test_a_docx_that_cannot_be_read_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read([_file(tmp_path, data, "guide.docx")])


@pytest.mark.parametrize("name", ["word/bomb.bin", "word/bomb.xml"])
def test_a_docx_that_fills_a_memory_is_never_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(limits, "TREE", 1 << 20)
    monkeypatch.setattr(limits, "FREE", 4 << 20)
    size = 2 << 20 if name.endswith("xml") else 8 << 20
    path = _file(tmp_path, docx([("", "a")], **{name: bytes(size)}), "guide.docx")
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    with pytest.raises(DataError, match=r"guide\.docx unpacks to more than .* fill a memory"):
        read([path])


def test_a_page_is_what_a_browser_would_show(tmp_path: Path) -> None:
    path = _file(tmp_path, PAGE, "shop.html")
    (row,) = _found_again(path)
    assert row.origin.line == 4
    assert row.fields["text"] == (
        "# How to order\n\nChoose a size, then pay.\nThat is all & enough.\n\n- Small\n- Large\n\n"
        "## Prices\n\nSize | Price\nS | 3\n\na\n   b\n\nBye.\n"
    )


def test_a_page_is_cut_at_its_headings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECTION", 90)
    path = _file(tmp_path, PAGE, "shop.html")
    assert [str(row.origin) for row in _found_again(path)] == [f"{path}:4", f"{path}:9"]


def test_a_page_in_an_old_encoding_that_it_names_is_read(tmp_path: Path) -> None:
    page = '<meta charset="windows-1252"><p>Größe</p>'
    assert _text(tmp_path, page.encode("cp1252"), "a.html") == "Größe\n"
    assert _text(tmp_path, page.encode(), "b.html") == "Größe\n", "many pages name a wrong one"
    escaped = b'<meta charset="unicode_escape"><p>\\ud800\xff</p>'
    with pytest.raises(DataError, match=r"d\.html:1: the file is not UTF-8: byte 0xff"):
        read([_file(tmp_path, escaped, "d.html")])
    with pytest.raises(DataError, match=r"c\.html:1: the file is not UTF-8: byte 0xf6"):
        read([_file(tmp_path, "<p>Größe</p>".encode("cp1252"), "c.html")])


def test_a_page_that_the_parser_refuses_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.html is no HTML that can be read \(.*keyword 'x'"):
        read([_file(tmp_path, b"<p>One</p><![x[two]]>", "a.html")])


def test_a_deep_page_is_read_and_a_huge_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _text(tmp_path, b"<div>" * 20_000 + b"deep", "deep.html") == "deep\n"
    monkeypatch.setattr(limits, "PAGE", 100)
    with pytest.raises(DataError, match=r"huge\.html is a page of more than 100 bytes"):
        read([_file(tmp_path, PAGE, "huge.html")])


@pytest.mark.parametrize(
    ("package", "module", "name", "data"),
    [
        ("pypdf", "pdf", "guide.pdf", pdf([["a"]])),
        ("docx", "word", "guide.docx", docx([("", "a")])),
        ("bs4", "html_pages", "guide.html", PAGE),
    ],
)
def test_a_missing_package_is_named_with_what_to_install(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    module: str,
    name: str,
    data: bytes,
) -> None:
    monkeypatch.delitem(sys.modules, f"tunesmith.data.sources.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=r"guide\.\w+ is read with .*'tunesmith\[documents\]'\.$"):
        read([_file(tmp_path, data, name)])
