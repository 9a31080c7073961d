"""`tunesmith curve`."""

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
from tunesmith.cli.text import tell
from tunesmith.runs.asked import curve_folder, recipe_from

if TYPE_CHECKING:
    from tunesmith.recipe import Recipe

# Evenly apart on the logarithmic scale on which a power law is a line.
_SHARES = "10,30,100"


def curve(
    recipe: RecipeFile = None,
    base: BaseName = None,
    data: DataFiles = None,
    weight: Weights = None,
    validation: ValidationFile = None,
    shares: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Percent of the training rows, ascending and ending in 100."
        ),
    ] = _SHARES,
    repeats: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Seeds that each size is trained with; else 3 below 300 rows, and 1 above.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder; else runs/<name of the data>-curve."),
    ] = None,
    set_: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Say whether more rows would help: train on parts of the data and look ahead.

    Trains for each share, on nested subsets and for as many steps as all rows get, measures
    each on the same held-out rows, and foretells the loss with 2 and 5 times the rows. The same
    command again goes on after an interruption.
    """
    asked = recipe_from(
        recipe,
        base=base,
        data=data,
        validation=validation,
        overrides=set_ or (),
        weights=weight or (),
    )
    folder = out if out is not None else curve_folder(asked)
    with failures.resumable(lambda: "the same command again"):
        found = _found(asked, _percentages(shares), repeats, folder, as_json)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(found, folder)


def _percentages(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no list of percentages, as in 10,30,100.", param_hint="--shares"
        ) from None


def _found(
    asked: Recipe, shares: list[float], repeats: int | None, folder: Path, as_json: bool
) -> dict[str, Any]:
    from tunesmith.cli.console import progress

    with progress(plain=as_json) as watcher:
        watcher.stage("start", f"the folder is {folder}")
        from tunesmith.runs.curve import learning_curve  # brings torch, which takes a moment

        return learning_curve(asked, shares, folder, watcher, repeats)


def _print(found: dict[str, Any], folder: Path) -> None:
    typer.echo()
    tell(found["sentence"], fg="green" if found["outlook"] == "helps" else "yellow", bold=True)
    typer.echo()
    for line in _table(found):
        typer.echo(line)
    typer.echo()
    for caution in found["cautions"]:
        tell(caution)
    typer.echo(f"\npicture   {found['picture']}\ncurve     {folder / 'curve.json'}")


def _table(found: dict[str, Any]) -> Iterator[str]:
    """A line for each size measured, and for each one foretold."""
    yield f"{'rows':>10}  {'share':>6}  {'held-out loss (95 %)':<26}{'fell by':<26}step kept"
    for point in found["points"]:
        fell = _interval(point["fell_by"]) if point["fell_by"] else ""
        step = f"{point['kept_step']:,} of {point['last_step']:,}"
        share = f"{point['share']:g} %"
        yield f"{point['rows']:>10,}  {share:>6}  {_interval(point):<26}{fell:<26}{step}"
    now = found["points"][-1]["value"]
    for ahead in found["forecast"]:
        gain = ahead["gain"]
        ends = {"value": "value", "low": "high", "high": "low"}
        loss = _interval({end: now - gain[other] for end, other in ends.items()})
        share = f"x {ahead['times']}"
        yield f"{ahead['rows']:>10,}  {share:>6}  {loss:<26}{_interval(gain):<26}foretold"


def _interval(values: dict[str, float]) -> str:
    return f"{values['value']:.3f} ({values['low']:.3f} to {values['high']:.3f})"
