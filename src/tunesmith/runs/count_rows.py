"""How many rows a stranger's file has, and that none of them leads out of it. No weights, no torch.

What a row calls a picture is a path of this machine. A service must open none that a client wrote,
so such rows are refused before anything looks at the picture.
"""

from __future__ import annotations

from tunesmith.core.errors import DataError
from tunesmith.core.records import Chat, Content, Example, ImageLabel
from tunesmith.data.formats import read_row
from tunesmith.data.sources import rows_of


def count_rows(path: str) -> int:
    """How many rows a client's file has. Raises DataError if one of them names a picture."""
    count = 0
    for row in rows_of(path):
        count += 1
        outcome = read_row(row).outcome
        if isinstance(outcome, Example) and _names_picture(outcome.content):
            raise DataError(
                f"{row.origin}: the row names a picture by a path or an address, and a service "
                "opens none. Send images as a folder, packed as a .zip file, to be labelled by "
                "the folders' names."
            )
    return count


def _names_picture(content: Content) -> bool:
    if isinstance(content, Chat):
        return any(message.images for message in content.messages)
    return isinstance(content, ImageLabel)
