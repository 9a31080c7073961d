"""The act `compare`: finished runs on the rows that they share. Opens no model, writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunesmith.core.errors import InputError
from tunesmith.core.files import iterate_jsonl
from tunesmith.evaluate.compare import Comparison, Judged, compare
from tunesmith.evaluate.measure import Measured
from tunesmith.recipe import load
from tunesmith.runs.finished import content_of, run_folder, verdict_of
from tunesmith.runs.writing import require_writing


def compare_runs(paths: Sequence[Path]) -> Comparison:
    """The runs in these folders side by side; differences are to the first.

    Raises:
        InputError: there are fewer than two, or one is named twice.
        RunFolderError: one is no finished run.
        DataError: they share no held-out row, or one was not measured.
        Unsupported: one labels, or learned from comparisons or grades.
    """
    if len(paths) < 2:
        raise InputError("A comparison needs at least two runs: tunesmith compare RUN RUN...")
    if len({path.resolve() for path in paths}) < len(paths):
        raise InputError("A run was named twice. Name each run once.")
    return compare([_judged(path, name) for path, name in zip(paths, _names(paths), strict=True)])


def _judged(path: Path, name: str) -> Judged:
    folder = run_folder(path)
    verdict = verdict_of(folder)
    recipe = load(folder.recipe)
    require_writing(recipe, "compare")
    contents = {
        line["origin"]: line["content"]
        for line in iterate_jsonl(folder.ledger_rows)
        if line["outcome"] == "held_out" and line["content"]
    }
    return Judged(
        name=name,
        base=recipe.model.base,
        method=recipe.model.method,
        verdict=verdict,
        measured=Measured.from_json(content_of(folder.measured)),
        contents=contents,
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """The names of the folders, or their whole paths where two are called the same."""
    names = [path.absolute().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
