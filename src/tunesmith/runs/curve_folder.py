"""The folder of a learning curve. Each property says what it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tunesmith.recipe import Recipe
from tunesmith.runs.begun import begun
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.subsets import Subset


class CurveFolder:
    """Typed paths of one learning curve; what was asked for stands beside them (`begun`)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def rows(self) -> Path:
        """The rows of each size, and those held out."""
        return self.path / "rows"

    def run(self, subset: Subset, repeat: int = 0) -> RunFolder:
        """The run of one size; `repeat` counts those with other seeds."""
        again = f"-again-{repeat}" if repeat else ""
        return RunFolder(self.path / f"run-{subset.name}{again}")

    @property
    def result(self) -> Path:
        """The curve. Its presence says that all is done."""
        return self.path / "curve.json"

    @property
    def picture(self) -> Path:
        """The curve as a picture."""
        return self.path / "curve.svg"

    def begun(
        self, recipe: Recipe, shares: Sequence[float], repeats: int, inputs: Mapping[str, str]
    ) -> bool:
        """Whether this very curve was begun here; begins it if the folder is new.

        `inputs` are the hashes of the files that decide what its runs become.

        Raises:
            RunFolderError: the folder holds something else.
        """
        asked = {
            "recipe": recipe.model_dump(mode="json"),
            "shares": [float(share) for share in shares],
            "repeats": repeats,
            "inputs": dict(inputs),
        }
        return begun(
            self.path, asked, "curve", "another recipe, other shares or repeats, or other data"
        )
