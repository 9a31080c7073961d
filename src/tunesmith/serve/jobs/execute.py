"""A job, carried out: its data looked at, its run made or gone on with, and what came of it.

    JOB/data        the client's files, under the server's names, until the job has succeeded
    JOB/run         the run folder of `tunesmith train`: a killed job goes on from its checkpoints
    JOB/results     the files that the client is offered

Whatever interrupts it, carrying a job out again goes on where it was, to the same weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.core.errors import (
    CheckpointError,
    DataError,
    InputError,
    Interrupted,
    ModelError,
    NoGrades,
    NonFiniteLoss,
    OutOfMemory,
    RunFolderError,
    StorageError,
    TunesmithError,
)
from tunesmith.recipe import Recipe
from tunesmith.runs.admit import admit
from tunesmith.runs.open import Run, open_run
from tunesmith.runs.train import train
from tunesmith.serve.jobs.hyperparameters import Method
from tunesmith.serve.jobs.inputs import clear, follow, in_their_words, lay_out
from tunesmith.serve.jobs.recipe import ANSWERS, method_of, recipe_of
from tunesmith.serve.jobs.reporting import Reporter, Wish
from tunesmith.serve.jobs.results import NAME, write_results
from tunesmith.serve.jobs.work import Claimed, Fault, Kind, Outcome, Tell
from tunesmith.serve.settings import Settings

LEAST_ROWS = 10
"""Rows of a training file, as the published interface has it. Our own method needs fewer."""

_KINDS: Mapping[str, Kind] = {
    "classify": "classifier",
    "tag": "classifier",
    "reward": "classifier",
    "embed": "embedder",
    "image": "image",
}
_STATUS: Mapping[str | None, Any] = {"cancel": "cancelled", "pause": "paused"}

_FAILED: tuple[tuple[type[TunesmithError], str, str | None], ...] = (
    (DataError, "invalid_training_file", "training_file"),
    (RunFolderError, "server_error", None),
    (ModelError, "model_not_usable", "model"),
    (InputError, "invalid_method", "method"),
    (OutOfMemory, "out_of_memory", None),
    (NonFiniteLoss, "non_finite_loss", None),
    (NoGrades, "no_grades", "method"),
    (TunesmithError, "server_error", None),
)


def validate(claimed: Claimed, settings: Settings) -> Fault | None:
    """What is wrong with the files of a job, in a sentence that names file and line; None if it can
    be run. Opens no weights. Raises StorageError where the disk refuses."""
    try:
        method, _ = method_of(claimed.job.asked)
        inputs = lay_out(claimed)
        recipe = recipe_of(claimed.job.asked, settings, inputs.paths, claimed.job.seed)
        admit(recipe, inputs.written, 1 if method == "tunesmith" else LEAST_ROWS)
    except InputError as error:
        return _fault(error, claimed)
    return None


def execute(claimed: Claimed, settings: Settings, tell: Tell) -> Outcome:
    """Train what a job asks for, or go on with it.

    Ends with "cancelled", "paused" or "queued" where that is wanted, or where the process is asked
    to end, with all work saved. Raises LeaseLost, as `tell` does, and StorageError.
    """
    wish = Wish(tell)
    reporter = Reporter(tell, lambda: _tell_resolved(claimed, tell))
    try:
        run = _trained(claimed, settings, reporter, wish)
    except Interrupted:
        reporter.flush()
        return Outcome(_STATUS.get(wish.wanted, "queued"))
    except CheckpointError:
        shutil.rmtree(_run(claimed))
        tell.event("A checkpoint was damaged, so training begins again", level="warn")
        return Outcome("queued")
    except StorageError:
        raise  # the job's fault least of all: it is given back, and taken up again
    except TunesmithError as error:
        reporter.flush()
        return Outcome("failed", fault=_fault(error, claimed))
    return _published(claimed, run)


def _trained(claimed: Claimed, settings: Settings, reporter: Reporter, wish: Wish) -> Run:
    """The finished run: as it was found, gone on with, or made."""
    out = _run(claimed)
    if (out / "verdict.json").is_file():
        return open_run(out)
    inputs = lay_out(claimed)
    begun = (out / "recipe.yaml").is_file()
    if begun:
        follow(out, inputs, open_run(out).recipe.data.train or ())
    return train(
        None if begun else recipe_of(claimed.job.asked, settings, inputs.paths, claimed.job.seed),
        out,
        resume=begun,
        watcher=reporter,
        stop_when=wish,
        after_epoch=reporter.saved_epoch,
    )


def _tell_resolved(claimed: Claimed, tell: Tell) -> None:
    """Tell what each "auto" has become."""
    recipe = open_run(_run(claimed)).recipe
    kind, said = method_of(claimed.job.asked)
    common = {
        "n_epochs": recipe.engine.epochs,
        "batch_size": recipe.engine.batch_size,
        "learning_rate_multiplier": recipe.engine.rate_multiplier,
    }
    own = {} if kind == "tunesmith" else {"hyperparameters": {**common, **_more(kind, recipe)}}
    tell.resolved({"type": kind, kind: {**said, **own}}, common)


def _more(kind: Method, recipe: Recipe) -> dict[str, Any]:
    """What one method has beside the numbers of all."""
    if kind == "dpo":
        return {"beta": recipe.preference.beta}
    if kind == "reinforcement":
        return {
            "reasoning_effort": "default",
            "compute_multiplier": recipe.rollouts.answers / ANSWERS,
            "eval_interval": recipe.engine.validate_every,
            "eval_samples": recipe.evaluate.rows,
        }
    return {}


def _published(claimed: Claimed, run: Run) -> Outcome:
    """What a finished run is to the client. Its checkpoints and the job's data are done with."""
    results = claimed.folder / "results" / NAME
    tokens = write_results(run.folder.metrics, results)
    shutil.rmtree(run.folder.checkpoints, ignore_errors=True)
    clear(claimed)
    return Outcome(
        "succeeded",
        trained_tokens=tokens,
        results={NAME: results},
        model=run.path,
        kind=_KINDS.get(run.recipe.objective.kind, "chat"),
    )


def _fault(error: TunesmithError, claimed: Claimed) -> Fault:
    """Why the job failed, in the client's own names of files."""
    code, param = next((code, param) for kind, code, param in _FAILED if isinstance(error, kind))
    message = in_their_words(str(error), claimed)
    return Fault(code, message, param)


def _run(claimed: Claimed) -> Path:
    return claimed.folder / "run"
