"""Small documents made by hand, for tests: the least that a PDF and a DOCX need to be one."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from xml.sax.saxutils import escape

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml"


def pdf(pages: Sequence[Sequence[str]], *, packed: bool = False, trailer: str = "") -> bytes:
    """A PDF whose pages show some lines each, in one of the fonts that every viewer has."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, lines in enumerate(pages):
        shown = "".join(f"({_quoted(line)}) Tj T*\n" for line in lines)
        content = f"BT /F1 12 Tf 14 TL 72 720 Td\n{shown}ET".encode("cp1252", "replace")
        content = zlib.compress(content) if packed else content
        encoded = " /Filter /FlateDecode" if packed else ""
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font "
            b"<< /F1 3 0 R >> >> /Contents %d 0 R >>" % (5 + 2 * number),
            b"<< /Length %d%s >>\nstream\n%s\nendstream"
            % (len(content), encoded.encode(), content),
        ]
    data, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"trailer\n<< /Size {size} /Root 1 0 R {trailer}>>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + f"xref\n0 {size}\n0000000000 65535 f \n{table}{end}".encode()


def _quoted(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").replace("\n", " ")


def docx(paragraphs: Sequence[tuple[str, str]], *, body: str = "", **parts: bytes) -> bytes:
    """A DOCX of paragraphs, each a style's name and a text; `body` is XML that stands behind them.

    `parts` are put into the package besides, under their names.
    """
    styles = sorted({style for style, _ in paragraphs if style})
    texts = "".join(_paragraph(style, text) for style, text in paragraphs)
    files = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{_MAIN}.document.main+xml"/>'
        f'<Override PartName="/word/styles.xml" ContentType="{_MAIN}.styles+xml"/></Types>',
        "_rels/.rels": _relation(f"{_OFFICE}/officeDocument", "word/document.xml"),
        "word/_rels/document.xml.rels": _relation(f"{_OFFICE}/styles", "styles.xml"),
        "word/document.xml": f"<w:document {_W}><w:body>{texts}{body}</w:body></w:document>",
        "word/styles.xml": f"<w:styles {_W}>{''.join(map(_style, styles))}</w:styles>",
    }
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return into.getvalue()


def _paragraph(style: str, text: str) -> str:
    named = f'<w:pPr><w:pStyle w:val="{style.replace(" ", "")}"/></w:pPr>' if style else ""
    return f'<w:p>{named}<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


def _style(name: str) -> str:
    return (
        f'<w:style w:type="paragraph" w:styleId="{name.replace(" ", "")}">'
        f'<w:name w:val="{name}"/></w:style>'
    )


def _relation(kind: str, target: str) -> str:
    return (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{kind}" Target="{target}"/></Relationships>'
    )
