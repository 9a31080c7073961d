"""`tunesmith search`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from tunesmith.cli.text import duration, tell
from tunesmith.runs.asked import recipe_from, search_folder

if TYPE_CHECKING:
    from tunesmith.recipe import Recipe


def search(
    recipe: RecipeFile = None,
    base: BaseName = None,
    data: DataFiles = None,
    weight: Weights = None,
    validation: ValidationFile = None,
    minutes: Annotated[
        float, typer.Option(metavar="NUMBER", help="About how long it may take.")
    ] = 30.0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder; else runs/<name of the data>-search."),
    ] = None,
    set_: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Try learning rates, ranks and epochs, and write the best recipe.

    Many are trained for a short while, the best third of them three times as long, and so on. They
    are compared on held-out rows that judge nothing; one that forgets more than the verdict allows
    does not win. The same command again goes on after an interruption.
    """
    asked = recipe_from(
        recipe,
        base=base,
        data=data,
        validation=validation,
        overrides=set_ or (),
        weights=weight or (),
    )
    folder = out if out is not None else search_folder(asked)
    with failures.resumable(lambda: "the same command again"):
        found = _found(asked, minutes, folder, as_json)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(found, folder)


def _found(asked: Recipe, minutes: float, folder: Path, as_json: bool) -> dict[str, Any]:
    from tunesmith.cli.console import progress

    with progress(plain=as_json) as watcher:
        watcher.stage("start", f"the folder is {folder}")
        from tunesmith.runs.search import search as act  # brings torch, which takes a moment

        return act(asked, minutes, folder, watcher)


def _print(found: dict[str, Any], folder: Path) -> None:
    typer.echo()
    tell(found["sentence"], fg="green" if found["winner"]["number"] else None, bold=True)
    typer.echo()
    for line in _table(found["trials"]):
        typer.echo(line)
    typer.echo()
    for caution in found["cautions"]:
        tell(caution)
    typer.echo(f"\nsearch    {folder / 'search.json'}")
    typer.echo(f"train it  tunesmith train {found['recipe']}")


def _table(trials: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each trial, the longest first, and of those the best first."""
    yield (
        f"{'recipe':>6}  {'rate':>9}  {'rank':>4}  {'epochs':>6}  {'steps':>7}  "
        f"{'held-out loss':>13}  {'general text':>12}  {'time':>9}"
    )
    for trial in sorted(trials, key=lambda each: -float(each["share"])):
        loss = "no number" if trial["loss"] is None else f"{trial['loss']:.3f}"
        drift = "" if trial["drift"] is None else f"{trial['drift']:+.3f}"
        mark = "  forgets too much" if trial["kept"] is False else ""
        yield (
            f"{trial['number']:>6}  {trial['learning_rate']:>9.3g}  {trial['rank'] or '':>4}  "
            f"{trial['epochs']:>6}  {trial['steps']:>7,}  {loss:>13}  {drift:>12}  "
            f"{duration(trial['seconds']):>9}{mark}"
        )
