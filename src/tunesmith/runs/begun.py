"""Folders of acts that go on where they were interrupted: what was asked for stands in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.core.errors import RunFolderError
from tunesmith.core.files import read_json, whole_folder, write_json

ASKED = "asked.json"


def begun(path: Path, asked: Mapping[str, Any], what: str, other: str) -> bool:
    """Whether the act `what`, asked for in these words, was begun in the folder; begins it if new.

    `other` names what may differ, for the error.

    Raises:
        RunFolderError: the folder holds something else.
    """
    if not path.exists():
        with whole_folder(path) as draft:
            write_json(draft / ASKED, asked)
        return False
    file = path / ASKED
    if not file.is_file() or read_json(file) != asked:
        raise RunFolderError(
            f"The folder {path} exists already and holds something other than this {what}: "
            f"{other}. Choose another with --out."
        )
    return True
