"""From the names that a user gave to files: folders, patterns and hub names become files."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tunesmith.core.errors import DataError
from tunesmith.core.records import Finding
from tunesmith.data.sources.code_trees import elsewhere, sorted_out
from tunesmith.data.sources.folders import findings_of, form_named, inside
from tunesmith.data.sources.hub_names import is_hub_name
from tunesmith.data.sources.walk import entries, folders, identity

_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Named:
    """The files that some names stand for, in order, and what should be known of them."""

    files: tuple[str, ...]
    findings: tuple[Finding, ...]


def expand(names: Iterable[str]) -> Named:
    """The files that names stand for.

    A folder stands for the data files in it and in the folders below, told by their endings and
    sorted by name (`folders`); a pattern (``*``, ``?``, ``[a-z]``, and ``**`` for any folders) for
    the files that match, whatever their endings, but for source code that nobody wrote
    (`code_trees`). Hidden files are not looked at, links are followed, and a folder that can be
    reached in two ways is looked at once. ``hub:owner/name`` is a data set of the hub, and is
    fetched (`hub`). Any other name stands for itself.

    Raises:
        DataError: a folder holds no data file, or rows beside documents; nothing matches a pattern;
            a folder cannot be read; or a data set cannot be fetched.
    """
    files: list[str] = []
    findings: list[Finding] = []
    for name in names:
        chosen, said = _files_of(name)
        files += chosen
        findings += said
    return Named(tuple(files), tuple(findings))


def at_revision(name: str) -> str:
    """A name that means the same for ever: one of the hub's with its commit, others as they are.

    Raises:
        DataError: the data set cannot be found.
    """
    if not is_hub_name(name):
        return name
    from tunesmith.data.sources.hub import pinned

    return pinned(name)


def _files_of(name: str) -> tuple[Sequence[str], Sequence[Finding]]:
    if is_hub_name(name):
        from tunesmith.data.sources.hub import fetched  # brings the network

        return fetched(name)
    if os.path.isdir(name):
        return inside(name)
    if _PATTERN.search(name) and not os.path.lexists(name):
        return _matching(name)
    return [name], []


def require_distinct(paths: Iterable[str]) -> None:
    """Check that no two paths lead to one file, however they are spelled.

    Raises:
        DataError: two do, so rows would be trained on twice or stand on both sides of the split.
    """
    seen: dict[Hashable, str] = {}
    for path in paths:
        found = identity(path)
        if found in seen:
            spelled = f" (also as {seen[found]})" if seen[found] != path else ""
            raise DataError(
                f"The file {path} is named more than once{spelled} under data.train and "
                "data.validation: its rows would be trained on twice, or stand on both sides of "
                "the split. Name it once; to train on it more often than on other files, give it a "
                "weight ({path: FILE, weight: 2}); to train for longer, raise engine.epochs."
            )
        seen[found] = path


def _matching(pattern: str) -> tuple[list[str], list[Finding]]:
    """The files that match a pattern, sorted, and what is to be said of those left out."""
    parts = Path(pattern).parts
    fixed = next(number for number, part in enumerate(parts) if _PATTERN.search(part))
    root = os.path.join(".", *parts[:fixed])
    found = sorted(set(_match(root, parts[fixed:])))
    code = [file for file in found if (form := form_named(file)) and form.holds == "code"]
    left = elsewhere(root, code)
    out = {file for listed in left.values() for file in listed}
    left |= sorted_out(file for file in code if file not in out)[1]
    out = {file for listed in left.values() for file in listed}
    chosen = [file.removeprefix("./") for file in found if file not in out]
    if not chosen:
        raise DataError(
            f"No file matches {pattern}"
            + (", but source code that is empty, generated or others'" if out else "")
            + ". Check the pattern; ** stands for any folders, and hidden files are not looked at."
        )
    return chosen, findings_of(pattern, left)


def _match(folder: str, parts: Sequence[str]) -> Iterator[str]:
    """What stands in a folder and matches the parts of a pattern, each a file."""
    part, rest = parts[0], parts[1:]
    if part == "**":
        while rest[:1] == ("**",):
            rest = rest[1:]
        for below in folders(folder):
            yield from _match(below, rest or ("*",))
        return
    for entry in entries(folder, folders=bool(rest)):
        if fnmatchcase(os.path.basename(entry), part):
            yield from _match(entry, rest) if rest else (entry,)
