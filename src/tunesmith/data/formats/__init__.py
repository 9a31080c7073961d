"""What a row means: a small function for each format, one table, told apart by field names.

fields          texts and numbers out of a row, and the sentences about all else
messages, tools one message, one tool call
chats, completions, preferences, labels     a family of formats each
table           every format with the fields that mark it
rows            a row to an Example or a Finding
"""

from __future__ import annotations

from tunesmith.data.formats.rows import (
    Detected,
    Reading,
    all_recognised,
    detect,
    read_row,
    recognised,
    understand,
    unused,
)
from tunesmith.data.formats.table import FORMATS, Format, recognise

__all__ = [
    "FORMATS",
    "Detected",
    "Format",
    "Reading",
    "all_recognised",
    "detect",
    "read_row",
    "recognise",
    "recognised",
    "understand",
    "unused",
]
