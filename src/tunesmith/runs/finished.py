"""A run folder as it is read afterwards, without opening its model: recipe, verdict, artefact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunesmith.core.errors import RunFolderError
from tunesmith.core.files import read_json
from tunesmith.runs.folder import RunFolder

KINDS = ("adapter", "model")
"""The folder names of `models.methods`: an adapter to its base, or the whole tuned model."""


def run_folder(path: Path | str) -> RunFolder:
    """The folder of a run. Raises RunFolderError if `path` is not one."""
    folder = RunFolder(path)
    if not folder.recipe.is_file():
        raise RunFolderError(
            f"{path} is not a run folder: it has no recipe.yaml. A run folder is what "
            "`tunesmith train --out` made."
        )
    return folder


def verdict_of(folder: RunFolder) -> dict[str, Any]:
    """The judgement. Raises RunFolderError if the run is not finished."""
    if not folder.verdict.exists():
        raise RunFolderError(
            f"The run in {folder.path} has no verdict yet: it is not finished. Go on with it: "
            f"tunesmith train --out {folder.path} --resume."
        )
    judgement: dict[str, Any] = content_of(folder.verdict)
    return judgement


def content_of(path: Path) -> Any:
    """What a JSON file of a run holds. Raises RunFolderError if it is missing or damaged."""
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{path} cannot be read ({error}), so this run is not whole. Put back a copy of it, or "
            "run it again."
        ) from error


def artefact_of(folder: RunFolder) -> Path:
    """The folder of the tuned weights. Raises RunFolderError if none was saved."""
    for kind in KINDS:
        if folder.artefact(kind).is_dir():
            return folder.artefact(kind)
    if folder.verdict.exists():
        raise RunFolderError(
            f"The run in {folder.path} has no tuned model any more: neither its adapter nor its "
            "model folder is there. Put it back, or train again."
        )
    raise RunFolderError(
        f"The run in {folder.path} has no tuned model yet: its training is not finished. "
        f"Go on with it: tunesmith train --out {folder.path} --resume."
    )
