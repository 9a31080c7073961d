"""The files that grades follow from: a run whose grader was changed is another run."""

from __future__ import annotations

from pathlib import Path

from tunesmith.recipe import RewardSection
from tunesmith.recipe.graders import SHAPES, walk
from tunesmith.runs.finished import artefact_of
from tunesmith.runs.folder import RunFolder


def grader_files(section: RewardSection) -> list[Path]:
    """Those that the graders name, and of a reward model's run its recipe and its weights with all
    that is read beside them. What is not there is refused where graders are opened.

    Raises RunFolderError where such a run has saved no model.
    """
    graders = [each for given in section.graders or () for each in walk(given)]
    named = [
        Path(str(grader[name]))
        for grader in graders
        for name, field in SHAPES[grader["type"]].fields.items()
        if field.kind == "path" and name in grader
    ]
    return [file for path in named for file in _files(path)]


def _files(path: Path) -> list[Path]:
    run = RunFolder(path)
    if not run.recipe.is_file():
        return [path] if path.is_file() else []
    return [run.recipe, *sorted(file for file in artefact_of(run).rglob("*") if file.is_file())]
