"""The act that looks at a stranger's data before anything is trained on it. No weights are opened.

What a row calls a picture is a path of this machine. A service must open none that a client wrote,
so such rows are refused before anything looks at the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.core.errors import DataError
from tunesmith.core.records import Chat, Content, Example, ImageLabel
from tunesmith.data.formats import read_row
from tunesmith.data.sources import rows_of
from tunesmith.recipe import Recipe
from tunesmith.runs.kinds import set_up_any


def admit(recipe: Recipe, files: Sequence[str], least: int) -> None:
    """Read, check, render and split the data, as the run will.

    Args:
        recipe: what is to be run.
        files: those that a client wrote, the training file first.
        least: so many rows the training file must have.

    Raises:
        InputError: there is something that the run would refuse, or a row names a picture.
    """
    for place, path in enumerate(files):
        rows = count_rows(path)
        if place == 0 and rows < least:
            raise DataError(
                f"{path} has {rows} {'row' if rows == 1 else 'rows'}, and a job needs {least} at "
                "least. Add some."
            )
    set_up_any(recipe)


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
