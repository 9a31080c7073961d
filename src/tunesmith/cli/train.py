"""`tunesmith train`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli import failures
from tunesmith.cli.options import (
    AsJson,
    BaseName,
    DataFiles,
    Overrides,
    RecipeFile,
    ValidationFile,
    Weights,
)
from tunesmith.cli.text import sentence, tell
from tunesmith.core.errors import GateHeld, InputError
from tunesmith.runs.asked import free_folder, recipe_from

if TYPE_CHECKING:
    from tunesmith.recipe import Recipe
    from tunesmith.runs.open import Run


def train(
    recipe: RecipeFile = None,
    base: BaseName = None,
    data: DataFiles = None,
    weight: Weights = None,
    validation: ValidationFile = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The run folder; else runs/<name of the data>-<number>."),
    ] = None,
    set_: Overrides = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out, by its own recipe.")
    ] = False,
    from_step: Annotated[
        int | None,
        typer.Option(metavar="N", help="With --resume: from the checkpoint of this step."),
    ] = None,
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit with 3 if the verdict is hold.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train, evaluate and judge a specialised model.

    Checks the data, measures the base, trains, measures again on rows never trained on, and writes
    a verdict and a report into the run folder.
    """
    if resume:
        _refuse_with_resume(
            {
                "a recipe": recipe,
                "--base": base,
                "--data": data,
                "--weight": weight,
                "--validation": validation,
                "--set": set_,
            }
        )
        asked, folder = None, _named(out)
    else:
        _refuse_without_resume(from_step)
        asked = recipe_from(
            recipe,
            base=base,
            data=data,
            validation=validation,
            overrides=set_ or (),
            weights=weight or (),
        )
        folder = out if out is not None else free_folder(asked)
    with failures.resumable(lambda: _resuming(str(folder)) if _begun(folder) else None):
        run = _run(asked, folder, from_step, as_json)
    _print(run, as_json)
    if gate and run.verdict["decision"] == "hold":
        raise GateHeld("The gate is closed: the verdict is hold.")


def _begun(folder: Path) -> bool:
    return (folder / "recipe.yaml").exists()


def _run(asked: Recipe | None, folder: Path, from_step: int | None, as_json: bool) -> Run:
    from tunesmith.cli.console import progress

    with progress(plain=as_json) as watcher:
        watcher.stage("start", f"the run folder is {folder}")
        from tunesmith.runs.train import train as train_run  # brings torch, which takes a moment

        return train_run(asked, folder, resume=asked is None, from_step=from_step, watcher=watcher)


def _print(run: Run, as_json: bool) -> None:
    if as_json:
        answer = {
            "run": str(run.path),
            "verdict": run.verdict,
            "report": str(run.report),
            "artefact": str(run.artefact),
            "cost_of_verdict": run.cost_of_verdict,
        }
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    colour = "green" if run.verdict["decision"] == "ship" else "yellow"
    typer.echo()
    tell(run.verdict["sentence"], fg=colour, bold=True)
    typer.echo()
    if paid := run.verdict["worth"]["detail"].get("money"):
        tell(sentence(paid["summary"]))
        typer.echo()
    if run.cost_of_verdict:
        tell(run.cost_of_verdict)
        typer.echo()
    typer.echo(f"report    {run.report}")
    typer.echo(f"{run.artefact.name:<8}  {run.artefact}")
    typer.echo(f"try it    tunesmith {_asked(run)}")


def _asked(run: Run) -> str:
    """The command that asks the tuned model."""
    from tunesmith.recipe import LABELS

    folder = shlex.quote(str(run.path))
    if command := LABELS.get(run.recipe.objective.kind):
        what = "IMAGE" if run.recipe.objective.kind == "image" else "TEXT"
        asked = " --prompt TEXT" if command == "score" else ""
        return f"{command} {folder}{asked} --once {what}"
    return f"chat {folder}"


def _refuse_with_resume(given: Mapping[str, object]) -> None:
    """Raises InputError if anything is asked for that the resumed run has in its own recipe."""
    named = [name for name, value in given.items() if value]
    if named:
        raise InputError(
            f"--resume goes on by the recipe in the run folder, so {' and '.join(named)} cannot be "
            f"given with it. Write only: {_resuming('DIR')}."
        )


def _refuse_without_resume(from_step: int | None) -> None:
    if from_step is not None:
        raise InputError("--from-step names a checkpoint of a run to go on with: add --resume.")


def _named(out: Path | None) -> Path:
    if out is None:
        raise InputError(f"--resume needs the folder of a run: {_resuming('DIR')}.")
    return out


def _resuming(folder: str) -> str:
    """The command that goes on with the run in `folder`."""
    return f"tunesmith train --out {shlex.quote(folder)} --resume"
