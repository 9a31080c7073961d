"""How much of a file is held in memory at once, and how far a packed one may grow. In bytes."""

from __future__ import annotations

BLOCK = 1 << 20
"""Read at a time, and given to a process at a time."""

ITEMS = 1000
"""Rows, not bytes: the most of them in one block."""

ROW = 64 << 20
"""The longest line, or record of a table. What is longer has lost its line ends, or a quote that
closes, and would otherwise be held in memory to the end of the file."""

SECTION = 8000
"""Characters, not bytes: the longest row of a document, about 2,000 tokens of English. See
`sections`."""

PAGE = 8 << 20
"""The largest HTML page. As a tree in memory a page takes up to a hundred times its size."""

TREE = 32 << 20
"""The largest XML part of a Word document, whose tree takes some twenty times its size. A book of
500 pages has 2 to 10 MB."""

CODE = 1 << 20
"""The largest file of source code that is taken from a folder. What is larger is data, or was
generated."""

WHOLE = 2 << 30
"""The largest file of a form that must be seen whole: a JSON array, or a packed Parquet file."""

FREE = 64 << 20
"""What any packed file may unpack to, however small it is."""

RATIO = 200
"""Beyond `FREE`, how many times its packed size a file may unpack to. Texts reach 3 to 30; files
made to fill memory or disk reach 1,000 and more."""


def told(size: int) -> str:
    """A limit as it stands in a sentence."""
    for unit, name in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} bytes"
