"""The act `data check`: what is wrong with data files, and a cleaned copy of them. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.core.files import require_new, write_jsonl, write_texts
from tunesmith.core.ports import Silent, Watcher
from tunesmith.data.quality import BENCHMARK, TRAIN, VALIDATION, LookAt, Report, Survey, repaired
from tunesmith.data.quality.repair import as_line
from tunesmith.data.sources import (
    blocks,
    expand,
    require_distinct,
    require_readable,
    rows_of,
    size_of,
)
from tunesmith.data.workers import applied

_SIDES = {TRAIN: "rows to train on", VALIDATION: "validation rows", BENCHMARK: "benchmark rows"}

_NAMED = 20
"""Files that are named while they are read."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A cleaned copy: where it is, where its changes are listed, and how many there were."""

    path: Path
    changes: Path
    kept: int
    dropped: Mapping[str, int]
    rewritten: Mapping[str, int]


def check_data(
    files: Sequence[str],
    *,
    validation: str | None = None,
    benchmarks: Sequence[str] = (),
    mapping: Mapping[str, str] | None = None,
    watcher: Watcher | None = None,
) -> Report:
    """Look at data files, row by row and all rows together.

    Args:
        files: what would be trained on; here as elsewhere files, folders and patterns.
        validation: what the model would be judged on.
        benchmarks: what others will judge it on; rows of any form.
        mapping: fields that are read under another name, as in the recipe.
        watcher: is told what goes on.

    Raises:
        DataError: a file cannot be read or is named twice, or holds something other than rows.
    """
    watcher = watcher or Silent()
    asked = [files, [] if validation is None else [validation], benchmarks]
    training, judging, public = map(expand, asked)
    for finding in (*training.findings, *judging.findings, *public.findings):
        watcher.note(finding.message)
    files, held, benchmarks = training.files, judging.files, public.files
    require_distinct([*files, *held])
    require_readable([*files, *held, *benchmarks])
    survey = Survey()
    for side, paths in ((BENCHMARK, benchmarks), (TRAIN, files), (VALIDATION, held)):
        if len(paths) > _NAMED:
            watcher.stage("read", f"{len(paths):,} files: {_SIDES[side]}")
        for path in paths:
            if len(paths) <= _NAMED:
                watcher.stage("read", f"{path}: {_SIDES[side]}")
            task = LookAt(mapping or {}, benchmark=side == BENCHMARK)
            with applied(task, size_of(path)) as apply:
                for looked_at in apply(blocks(path)):
                    survey.take(path, looked_at, side)
    watcher.stage("compare", "all rows with each other")
    return survey.report()


def write_cleaned(files: Sequence[str], report: Report, out: Path) -> Cleaned:
    """Write what `report` says can be cleaned of `files` to `out`, as JSON lines.

    `out`.changes.jsonl lists each row that was left out or rewritten, with the reason. Rows stay in
    their order, all others as they are; the files themselves are only read. Both files appear whole
    or not at all.

    Raises:
        DataError: a file has changed since it was checked.
        StorageError: the disk refuses.
    """
    changes: list[dict[str, Any]] = []
    write_texts(out, _cleaned(files, report, changes))
    listed = changes_of(out)
    write_jsonl(listed, changes)
    dropped = Counter(change["dropped"] for change in changes if "dropped" in change)
    rewritten: Counter[str] = Counter()
    for change in changes:
        rewritten.update(change.get("rewritten", ()))
    kept = report.rows[TRAIN] - dropped.total()
    return Cleaned(out, listed, kept, dropped, rewritten)


def changes_of(out: Path) -> Path:
    """Where the changes of a cleaned copy are listed."""
    return out.with_name(f"{out.name}.changes.jsonl")


def require_free(out: Path) -> None:
    """Raises DataError if a cleaned copy cannot be written there without losing something."""
    for path in (out, changes_of(out)):
        require_new(path, "the cleaned copy")


def _cleaned(files: Sequence[str], report: Report, changes: list[dict[str, Any]]) -> Iterator[str]:
    """The lines of the copy; what was changed is added to `changes` meanwhile."""
    dropped, first, line = report.dropped(), report.rows[BENCHMARK], 0
    number = -1
    paths = expand(files).files
    for number, row in enumerate(row for path in paths for row in rows_of(path)):
        change: dict[str, Any] = {"row": str(row.origin)}
        if first + number in dropped:
            changes.append({**change, "dropped": dropped[first + number]})
            continue
        line += 1
        fields, rewritten = repaired(row.fields)
        if rewritten:
            changes.append({**change, "line": line, "rewritten": dict(rewritten)})
        yield as_line(fields)
    if number + 1 != report.rows[TRAIN]:
        raise DataError(
            f"There are {number + 1} rows now where {report.rows[TRAIN]} were checked: a file was "
            "changed meanwhile. Check again."
        )
