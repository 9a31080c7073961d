"""Rows to examples: renamed by the mapping, recognised by their fields, and read."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.core.records import Example, Finding, Preference, Prompted, Rating, Row
from tunesmith.data.formats.expect import EXPECT, expecting
from tunesmith.data.formats.fields import Unusable, fail, shown
from tunesmith.data.formats.pictures import located
from tunesmith.data.formats.table import recognise, refuse_unknown
from tunesmith.data.formats.tests import TESTS, tests_of

_NAMED = 12
_MANY = 20
"""Files that are each told of; a folder of images or of code holds thousands."""

PROVENANCE = "provenance"
"""Where `tunesmith distil` writes who answered: it is there to be looked up, not to be learned."""

Mapped = Mapping[str, str]
_AS_THEY_ARE: Mapped = {}


@dataclass(frozen=True, slots=True)
class Detected:
    """What became of each row, in order (a Finding is a drop), and the warnings."""

    rows: list[Example | Finding]
    warnings: list[Finding]


@dataclass(frozen=True, slots=True)
class Reading:
    """One row read: what it is, the title of its format ("" for none), and fields not used."""

    outcome: Example | Finding
    title: str = ""
    extras: frozenset[str] = frozenset()


def detect(rows: Iterable[Row], mapping: Mapped = _AS_THEY_ARE) -> Detected:
    """Understand every row by its fields; one file may mix formats.

    Fields that no format reads are ignored and named once a file by a warning "extra_fields".
    """
    read: list[Example | Finding] = []
    extras: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        reading = read_row(row, mapping)
        read.append(reading.outcome)
        extras[row.origin.path].update(reading.extras)
    return Detected(read, [unused(path, counts) for path, counts in extras.items() if counts])


def understand(row: Row, mapping: Mapped = _AS_THEY_ARE) -> Example | Finding:
    """One row as an Example, or the reason why it cannot be one (severity "drop")."""
    return read_row(row, mapping).outcome


def read_row(row: Row, mapping: Mapped = _AS_THEY_ARE) -> Reading:
    """One row understood, and how.

    Args:
        row: as it stood in the file.
        mapping: fields that are read under another name, `{"body": "text"}`.
    """
    title = ""
    try:
        fields = renamed(row.fields, mapping)
        form = recognise(fields)
        if form is None:
            refuse_unknown(fields)
        title = form.title
        tests = tests_of(fields)
        content = expecting(located(form.read(fields), row.origin), fields)
        example = Example(row.origin, content, tests)
    except Unusable as error:
        return Reading(Finding(error.reason, str(error), "drop", row.origin), title)
    except RecursionError:
        message = "The row is nested too deeply to be read. Make it flatter."
        return Reading(Finding("wrong_type", message, "drop", row.origin), title)
    if isinstance(example.content, Prompted):
        return Reading(example, title)  # all else in the row is its reference
    used = {*form.fields, *form.beside, *([TESTS] if tests else [])}
    if isinstance(example.content, Preference | Rating):
        used.add(EXPECT)
    extras = fields.keys() - used - {PROVENANCE}
    inside = (
        f"{name}.{key}"
        for name, read in form.inside.items()
        for turn in fields[name]
        for key in turn.keys() - read
    )
    return Reading(example, title, frozenset(map(shown, (*extras, *inside))))


def renamed(fields: Mapping[str, Any], mapping: Mapped) -> Mapping[str, Any]:
    """The fields under the names that the mapping gives them."""
    if not mapping:
        return fields
    found: dict[str, Any] = {}
    for name, value in fields.items():
        new = mapping.get(name, name)
        if new in found:
            fail(
                "mapping_conflict",
                f'data.mapping reads two fields of this row as "{shown(new)}". Map the other one '
                "to a name of its own.",
            )
        found[new] = value
    return found


def unused(path: str, counts: Counter[str]) -> Finding:
    """The warning that fields of a file are not used, from the rows that have each."""
    names = sorted(counts.items())
    named = ", ".join(f'"{name}" ({rows} rows)' for name, rows in names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return Finding("extra_fields", f"{path}: these fields are not used: {named}{more}.", "warn")


def all_recognised(files: Sequence[tuple[str, int, Counter[str]]]) -> list[str]:
    """`recognised` of each file (path, rows, counts); of many, as in a folder, one for all."""
    if len(files) <= _MANY:
        return [recognised(path, rows, counts) for path, rows, counts in files]
    paths, rows, counts = zip(*files, strict=True)
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    whole = len({*map(os.path.isabs, paths)}) > 1  # these two kinds have no path in common
    where = os.path.commonpath([*map(os.path.abspath, paths)] if whole else paths) or "."
    return [recognised(f"{where} ({len(files):,} files)", sum(rows), total)]


def recognised(path: str, rows: int, counts: Counter[str]) -> str:
    """The sentence about what the rows of a file were read as; `counts` are by format."""
    found = [f"{number} rows as {title}" for title, number in counts.most_common()]
    unknown = rows - sum(counts.values())
    if unknown:
        found.append(f"{unknown} rows in no known format")
    return f"{path}: {', '.join(found) or 'no rows'}."
