"""From the names that a user gave to files: folders and patterns become the files they hold."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tunesmith.core.errors import DataError
from tunesmith.core.records import Finding
from tunesmith.data.sources.forms import BY_ENDING
from tunesmith.data.sources.opened import ending_of
from tunesmith.data.sources.packed import PACKINGS

_PATTERN = re.compile(r"[*?\[]")
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Named:
    """The files that some names stand for, in order, and what should be known of them."""

    files: tuple[str, ...]
    findings: tuple[Finding, ...]


def expand(names: Iterable[str]) -> Named:
    """The files that names stand for.

    A folder stands for the data files in it and in the folders below, told by their endings and
    sorted by name; a pattern (``*``, ``?``, ``[a-z]``, and ``**`` for any folders) for the files
    that match, whatever their endings. Hidden files are not looked at, links are followed, and a
    folder that can be reached in two ways is looked at once. Any other name stands for itself.

    Raises:
        DataError: a folder holds no data file, or rows beside documents; nothing matches a pattern;
            or a folder cannot be read.
    """
    files: list[str] = []
    findings: list[Finding] = []
    for name in names:
        if os.path.isdir(name):
            chosen, others = _inside(name)
            files += chosen
            findings += [_skipped(name, others)] if others else []
        elif _PATTERN.search(name) and not os.path.lexists(name):
            files += _matching(name)
        else:
            files.append(name)
    return Named(tuple(files), tuple(findings))


def require_distinct(paths: Iterable[str]) -> None:
    """Check that no two paths lead to one file, however they are spelled.

    Raises:
        DataError: two do, so rows would be trained on twice or stand on both sides of the split.
    """
    seen: dict[Hashable, str] = {}
    for path in paths:
        identity = _identity(path)
        if identity in seen:
            spelled = f" (also as {seen[identity]})" if seen[identity] != path else ""
            raise DataError(
                f"The file {path} is named more than once{spelled} under data.train and "
                "data.validation: its rows would be trained on twice, or stand on both sides of "
                "the split. Name it once; to train on it more often than on other files, give it a "
                "weight ({path: FILE, weight: 2}); to train for longer, raise engine.epochs."
            )
        seen[identity] = path


def _identity(path: str) -> Hashable:
    """What two names of one file have in common, links included."""
    try:
        found = os.stat(path)
    except OSError:
        return Path(path).absolute()
    return found.st_dev, found.st_ino


def _inside(root: str) -> tuple[list[str], list[str]]:
    """The data files in a folder and below it, and the other files."""
    files = [file for folder in _folders(root) for file in _entries(folder, folders=False)]
    files.sort()
    chosen = [file for file in files if ending_of(file) in BY_ENDING]
    others = [file for file in files if ending_of(file) not in BY_ENDING]
    if not chosen:
        received = f"; it holds {_listed(others)}" if others else ""
        raise DataError(
            f"{root} is a folder without a data file{received}. Data files end in "
            f"{', '.join(BY_ENDING)}, each also with "
            f"{', '.join(packing.ending for packing in PACKINGS)} behind it."
        )
    documents = [file for file in chosen if BY_ENDING[ending_of(file)].documents]
    if documents and len(documents) < len(chosen):
        rows = next(file for file in chosen if file not in documents)
        raise DataError(
            f"{root} holds files of rows ({rows}) beside documents ({documents[0]}), and which of "
            f'them are meant cannot be known. Name them by a pattern: "{root}/*{Path(rows).suffix}"'
            "."
        )
    return chosen, others


def _matching(pattern: str) -> list[str]:
    """The files that match a pattern, sorted."""
    parts = Path(pattern).parts
    fixed = next(number for number, part in enumerate(parts) if _PATTERN.search(part))
    found = set(_match(os.path.join(".", *parts[:fixed]), parts[fixed:]))
    if not found:
        raise DataError(
            f"No file matches {pattern}. Check the pattern; ** stands for any folders, and hidden "
            "files are not looked at."
        )
    return sorted(file.removeprefix("./") for file in found)


def _match(folder: str, parts: Sequence[str]) -> Iterator[str]:
    """What stands in a folder and matches the parts of a pattern, each a file."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        while rest[:1] == ("**",):
            rest = rest[1:]
        for below in _folders(folder):
            yield from _match(below, rest or ("*",))
        return
    for entry in _entries(folder, folders=bool(rest)):
        if fnmatchcase(os.path.basename(entry), part):
            yield from _match(entry, rest) if rest else (entry,)


def _folders(root: str) -> Iterator[str]:
    """A folder and all below it, each once, so that links which lead back end nothing."""
    seen: set[Hashable] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        if (identity := _identity(folder)) not in seen:
            seen.add(identity)
            yield folder
            waiting += sorted(_entries(folder, folders=True), reverse=True)


def _entries(folder: str, *, folders: bool) -> list[str]:
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


def _skipped(folder: str, others: Sequence[str]) -> Finding:
    return Finding(
        "skipped_files",
        f"{folder}: {_listed(others)} not read, because the ending is none of a data file. Name a "
        "file itself to have it read.",
        "warn",
    )


def _listed(files: Sequence[str]) -> str:
    named = ", ".join(files[:_NAMED])
    more = f" and {len(files) - _NAMED} more files" if len(files) > _NAMED else ""
    return f"{named}{more}"
