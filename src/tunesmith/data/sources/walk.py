"""Folders and what stands in them: hidden files are not looked at, links are followed, and nothing
is looked at twice."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator
from pathlib import Path

from tunesmith.core.errors import DataError


def files_below(root: str) -> list[str]:
    """The files in a folder and in the folders below it, sorted; raises as `entries` does."""
    return sorted(file for folder in folders(root) for file in entries(folder, folders=False))


def folders(root: str) -> Iterator[str]:
    """A folder and all below it, each once, so that links which lead back end nothing."""
    seen: set[Hashable] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        if (found := identity(folder)) not in seen:
            seen.add(found)
            yield folder
            waiting += sorted(entries(folder, folders=True), reverse=True)


def entries(folder: str, *, folders: bool) -> list[str]:
    """What stands in a folder and is not hidden: folders, or files and links that lead nowhere.

    Raises:
        DataError: the folder cannot be read, or a name in it is no text.
    """
    try:
        with os.scandir(folder) as found:
            names = [entry.name for entry in found if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read ({error.strerror}).") from None
    for name in names:
        if name != name.encode("utf-8", "replace").decode():
            raise DataError(
                f"A name in the folder {folder} is not UTF-8 ({name!r}), so no report could tell "
                "of it. Rename it, or name the other files."
            )
    paths = [os.path.join(folder, name) for name in names]
    if folders:
        return [path for path in paths if os.path.isdir(path)]
    return [path for path in paths if os.path.isfile(path) or not os.path.exists(path)]


def identity(path: str) -> Hashable:
    """What two names of one file or folder have in common, links included."""
    try:
        found = os.stat(path)
    except OSError:
        return Path(path).absolute()
    return found.st_dev, found.st_ino
