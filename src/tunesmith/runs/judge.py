"""The act `judge`: a judge model's opinion of a finished run, and its verdict written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunesmith.core.errors import InputError, Interrupted
from tunesmith.core.ports import Silent, Watcher
from tunesmith.engine.stopping import stop_on_signals
from tunesmith.evaluate.measure import Measured
from tunesmith.evaluate.preferences.measured import PreferenceMeasured
from tunesmith.evaluate.verdict import Verdict
from tunesmith.recipe import PREFERENCES, load
from tunesmith.runs.finished import content_of, run_folder, verdict_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.opinion import ask, require_judge
from tunesmith.runs.preferences.judge import write_preferences
from tunesmith.runs.writing import require_writing
from tunesmith.runs.written import write_judgement


def judge(
    path: Path,
    settings: Mapping[str, Any],
    overrides: Sequence[str] = (),
    watcher: Watcher | None = None,
) -> Verdict:
    """Let a model judge the answers of a finished run, and write its verdict and report again.

    `settings` and `overrides` (`judge.rows=20`) go over what the run's recipe says of a judge.

    Raises:
        InputError: the run is not finished, names no judge, or what is named cannot be used.
        EndpointError: the judge did not answer; what it did say is kept, and the verdict as it was.
        Interrupted: after Ctrl-C or SIGTERM, likewise.
    """
    folder = run_folder(path)
    verdict_of(folder)
    recipe = load(folder.recipe, _of_judge(overrides), settings)
    require_judge(recipe.judge)
    if recipe.judge.url is None:
        raise InputError(
            "No judge is named. Say where it is and what it is called, as in --url "
            "http://localhost:8000/v1 --model NAME."
        )
    if recipe.objective.kind not in PREFERENCES:
        require_writing(recipe, "judge")
    run = _compared(folder) if recipe.objective.kind in PREFERENCES else None
    measured = run.run if run else Measured.from_json(content_of(folder.measured))
    with stop_on_signals():
        try:
            found = ask(recipe, folder, measured, watcher or Silent())
        except KeyboardInterrupt:
            raise Interrupted(
                "Stopped. What the judge has replied is kept, and the same command goes on from "
                "there; the verdict is as it was."
            ) from None
    measured, seed = replace(measured, judged=found), recipe.engine.seed
    if run is not None:
        return write_preferences(folder, replace(run, run=measured), seed)
    return write_judgement(folder, measured, seed)


def _compared(folder: RunFolder) -> PreferenceMeasured:
    return PreferenceMeasured.from_json(content_of(folder.measured))


def _of_judge(overrides: Sequence[str]) -> Sequence[str]:
    for override in overrides:
        if not override.strip().startswith("judge."):
            raise InputError(
                f"--set {override}: the run is finished, so only what a judge is asked can be set, "
                "as in --set judge.rows=20."
            )
    return overrides
