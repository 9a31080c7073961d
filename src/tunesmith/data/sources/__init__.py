"""Files in, rows out, each row with the place it came from.

names       folders, patterns and names of the hub to files (`folders`, `code_trees`, `hub`)
opened      a file, unpacked where it is packed (`packed`), within `limits`
forms       which form it has, told by content where content tells
json_lines, json_arrays, tables, parquet, images      a form each: rows, and rows again
documents   texts, code, PDF, DOCX and HTML to rows, by their `sections`
reading     all of it together
"""

from __future__ import annotations

from tunesmith.data.sources.names import Named, at_revision, expand, require_distinct
from tunesmith.data.sources.opened import require_readable, size_of
from tunesmith.data.sources.reading import blocks, described, read, rows_at, rows_of
from tunesmith.data.sources.rows import Block, Place, Placed, changed

__all__ = [
    "Block",
    "Named",
    "Place",
    "Placed",
    "at_revision",
    "blocks",
    "changed",
    "described",
    "expand",
    "read",
    "require_distinct",
    "require_readable",
    "rows_at",
    "rows_of",
    "size_of",
]
