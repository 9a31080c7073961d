"""The act that looks at a stranger's data before it is trained on. No weights are opened."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.core.errors import DataError
from tunesmith.recipe import Recipe
from tunesmith.runs.count_rows import count_rows
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
