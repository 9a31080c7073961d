"""`tunesmith data check`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.cli.options import AsJson, Mapped, mapping_of
from tunesmith.cli.text import tell
from tunesmith.core.text import visible

if TYPE_CHECKING:
    from tunesmith.data.quality import Found, Report
    from tunesmith.runs.check import Cleaned

_COLOURS = {"stop": "red", "warn": "yellow", "note": "cyan"}
_HEADS = {
    "stop": "Stop: to be settled before a run",
    "warn": "Warnings: what the model would learn was hardly meant",
    "note": "Notes: worth a look",
}
_PLACES = 3


def check(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Examples to train on.", show_default=False),
    ],
    validation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Examples the model is to be judged on.")
    ] = None,
    benchmark: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A test whose questions must not be trained on."),
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT", help="Write a cleaned copy there, and OUT.changes.jsonl beside it."
        ),
    ] = None,
    mapped: Mapped = None,
    as_json: AsJson = False,
) -> None:
    """Find what would quietly ruin a run: leaks, copies, damage, personal data, empty answers.

    The files are only read. Exits with 2 if something stops a run, or if more than 1 % of the rows
    cannot be used.
    """
    asked = {
        "validation": None if validation is None else str(validation),
        "benchmarks": [*map(str, benchmark or ())],
        "mapping": mapping_of(mapped),
    }
    report, cleaned = _checked([*map(str, files)], fix, as_json, asked)
    if as_json:
        typer.echo(json.dumps(_as_json(report, cleaned), indent=2, ensure_ascii=False))
    else:
        _print(report, cleaned)
    if report.stops:
        raise typer.Exit(2)


def _checked(
    files: Sequence[str], fix: Path | None, plain: bool, asked: dict[str, Any]
) -> tuple[Report, Cleaned | None]:
    from tunesmith.cli.console import progress
    from tunesmith.runs.check import check_data, require_free, write_cleaned

    if fix is not None:
        require_free(fix)
    with progress(plain=plain) as watcher:
        report = check_data(files, **asked, watcher=watcher)
        if fix is None:
            return report, None
        watcher.stage("fix", f"write {fix}")
        return report, write_cleaned(files, report, fix)


def _print(report: Report, cleaned: Cleaned | None) -> None:
    training, validation, benchmarks = report.rows
    sizes = [f"{training:,} {_rows(training)} to train on"]
    sizes += [f"{validation:,} to judge by"] if validation else []
    sizes += [f"{benchmarks:,} of benchmarks"] if benchmarks else []
    typer.echo()
    tell(f"{', '.join(sizes)}: {_sentence(report)}", bold=True)
    for grade, head in _HEADS.items():
        found = [each for each in report.found if each.check.grade == grade]
        if found:
            typer.echo()
            tell(head, fg=_COLOURS[grade], bold=True)
        for each in found:
            _print_found(each)
    typer.echo()
    if cleaned is not None:
        _print_cleaned(cleaned)
    elif any(each.check.fix for each in report.found):
        tell("Add --fix OUT.jsonl to write a cleaned copy; the files themselves are only read.")


def _sentence(report: Report) -> str:
    counts = dict.fromkeys(_HEADS, 0)
    for each in report.found:
        counts[each.check.grade] += 1
    if not report.found:
        return "nothing was found."
    if not counts["stop"]:
        return "nothing stops a run, but there is something to see."
    return "not ready for a run."


def _print_found(found: Found) -> None:
    count = len(found.rows)
    tell(f"  {found.counted}  [{found.reason}]", hang=4)
    for place in found.places[:_PLACES]:
        tell(visible(f"      {place.origin}  {place.says}"), hang=8)
    if count > _PLACES:
        tell(f"      and {count - _PLACES:,} more")
    tell(f"    → {found.check.advice}", hang=6)


def _print_cleaned(cleaned: Cleaned) -> None:
    tell(f"cleaned   {cleaned.path}  ({cleaned.kept:,} {_rows(cleaned.kept)})", hang=10)
    tell(f"changes   {cleaned.changes}", hang=10)
    for name, counts in (("left out", cleaned.dropped), ("rewritten", cleaned.rewritten)):
        listed = ", ".join(f"{reason} {count:,}" for reason, count in counts.items())
        tell(f"{name:<10}{listed or 'nothing'}", hang=10)


def _as_json(report: Report, cleaned: Cleaned | None) -> dict[str, Any]:
    training, validation, benchmarks = report.rows
    answer: dict[str, Any] = {
        "stop": report.stops,
        "rows": {"train": training, "validation": validation, "benchmark": benchmarks},
        "unusable": report.unusable,
        "findings": [_found_as_json(each) for each in report.found],
    }
    if cleaned is not None:
        answer["fixed"] = {
            "path": str(cleaned.path),
            "changes": str(cleaned.changes),
            "kept": cleaned.kept,
            "dropped": dict(cleaned.dropped),
            "rewritten": dict(cleaned.rewritten),
        }
    return answer


def _found_as_json(found: Found) -> dict[str, Any]:
    return {
        "reason": found.reason,
        "grade": found.check.grade,
        "rows": len(found.rows),
        "title": found.check.title,
        "advice": found.check.advice,
        "places": [{"row": str(place.origin), "says": place.says} for place in found.places],
    }


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"
