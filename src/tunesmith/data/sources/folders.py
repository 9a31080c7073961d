"""What a folder stands for: files of rows, or documents and source code, or images of classes.

The three are never mixed, for which of them was meant could only be guessed. Documents and code are
read together, as a project has them; images beside them are pictures in the documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunesmith.core.errors import DataError
from tunesmith.core.records import Finding
from tunesmith.data.sources.code_trees import elsewhere, is_settings, sorted_out
from tunesmith.data.sources.forms import BY_ENDING, FORMS, IMAGE, SETTINGS, Form
from tunesmith.data.sources.images import require_classes
from tunesmith.data.sources.opened import ending_of
from tunesmith.data.sources.packed import PACKINGS
from tunesmith.data.sources.walk import files_below

_FOREIGN = "of other endings"
_PICTURES = "of pictures beside documents"
_NAMED = 3


def form_named(path: str) -> Form | None:
    """The form that the ending of a name tells."""
    return BY_ENDING.get(ending_of(path))


def inside(root: str) -> tuple[list[str], list[Finding]]:
    """The data files in a folder and below it, and what is to be said of the others.

    Raises:
        DataError: it holds no data file, or rows beside documents or code; or images that stand in
            no folder of a class.
    """
    files = files_below(root)
    kinds = _by_kind(files)
    left = elsewhere(root, files) if kinds["code"] else {}
    kinds = _by_kind(_without(files, left))
    chosen = _chosen(root, kinds, left)
    left[_FOREIGN] = _without(files, {**left, "chosen": chosen})
    if not chosen:
        raise DataError(_nothing(root, left))
    return chosen, findings_of(root, left)


def _without(files: Sequence[str], left: Mapping[str, Sequence[str]]) -> list[str]:
    """The files that stand in none of the lists."""
    known = {file for listed in left.values() for file in listed}
    return [file for file in files if file not in known]


def findings_of(where: str, left: Mapping[str, Sequence[str]]) -> list[Finding]:
    """The one finding about files that were left out, by reason; none if there are none."""
    counted = {reason: files for reason, files in left.items() if files}
    if not counted:
        return []
    total = sum(map(len, counted.values()))
    message = (
        f"{where}: {total:,} {'file' if total == 1 else 'files'} not read: {_counted(counted)}. "
        "Name a file itself to have it read."
    )
    return [Finding("skipped_files", message, "warn")]


def _chosen(root: str, kinds: dict[str, list[str]], left: dict[str, list[str]]) -> list[str]:
    """The files that the folder stands for; what is left out of them is added to `left`."""
    code, documents, rows = kinds["code"], kinds["document"], kinds["rows"]
    if code:
        left["that set tools up"] = [file for file in rows if is_settings(file)]
        rows = [file for file in rows if not is_settings(file)]
    if rows:
        if documents or code:
            raise DataError(_mixed(root, rows[0], documents, code))
        return rows
    if code:
        written, others = sorted_out(sorted([*code, *kinds["settings"]]))
        left.update(others)
        left[_PICTURES] = kinds["image"]
        return sorted([*written, *documents])
    if documents:
        left[_PICTURES] = kinds["image"]
        return documents
    if kinds["image"]:
        require_classes(root, kinds["image"])
    return kinds["image"]


def _by_kind(files: Sequence[str]) -> dict[str, list[str]]:
    """The files by what their form holds; settings are code only where there is other code."""
    kinds: dict[str, list[str]] = {form.holds: [] for form in FORMS} | {"settings": []}
    for file in files:
        if form := form_named(file):
            kinds["settings" if form is SETTINGS else form.holds].append(file)
    return kinds


def _mixed(root: str, rows: str, documents: Sequence[str], code: Sequence[str]) -> str:
    other, what = (code[0], "source code") if code else (documents[0], "documents")
    return (
        f"{root} holds files of rows ({rows}) beside {what} ({other}), and which of them are meant "
        f"cannot be known. Name them by a pattern: {_pattern(root, rows)} or "
        f"{_pattern(root, other)}."
    )


def _pattern(root: str, file: str) -> str:
    """A pattern for files like one."""
    packing = next((each.ending for each in PACKINGS if file.endswith(each.ending)), "")
    return f'"{root}/**/*{ending_of(file)}{packing}"'


def _nothing(root: str, left: Mapping[str, Sequence[str]]) -> str:
    counted = {reason: files for reason, files in left.items() if files}
    received = f"; it holds {_counted(counted)}" if counted else ""
    endings = [ending for form in FORMS if form not in (SETTINGS, IMAGE) for ending in form.endings]
    return (
        f"{root} is a folder without a data file{received}. Data files end in "
        f"{', '.join(endings[:14])} and the endings of source code, each also with "
        f"{', '.join(packing.ending for packing in PACKINGS)} behind it, or are images in folders "
        "named as their classes."
    )


def _counted(left: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{len(files):,} {reason} ({_some(files)})" for reason, files in left.items())


def _some(files: Sequence[str]) -> str:
    return ", ".join(files[:_NAMED]) + (", …" if len(files) > _NAMED else "")
