"""`tunesmith advise`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from tunesmith.runs.asked import recipe_from

if TYPE_CHECKING:
    from tunesmith.recipe import Recipe


def advise(
    recipe: RecipeFile = None,
    base: BaseName = None,
    data: DataFiles = None,
    weight: Weights = None,
    validation: ValidationFile = None,
    prompt: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A text file with what you would tell the base."),
    ] = None,
    minutes: Annotated[
        float, typer.Option(metavar="NUMBER", help="About how long it may take.")
    ] = 5.0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A new folder for advice.json; else nothing is written."),
    ] = None,
    set_: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Say what to do before training: prompt, show examples, search, fine-tune, or get more rows.

    Measures the base on held-out rows as it is asked, with each help, and after a short run of
    training that is thrown away; recommends what the rows show, with the costs of each.
    """
    asked = recipe_from(
        recipe,
        base=base,
        data=data,
        validation=validation,
        overrides=set_ or (),
        settings={} if prompt is None else {"evaluate.prompt": str(prompt)},
        weights=weight or (),
    )
    found = _found(asked, minutes, out, as_json)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(found, out)


def _found(asked: Recipe, minutes: float, out: Path | None, as_json: bool) -> dict[str, Any]:
    from tunesmith.cli.console import progress

    with progress(plain=as_json) as watcher:
        watcher.stage("start", f"about {minutes:g} min; no model is kept")
        from tunesmith.runs.advise import advise as act  # brings torch, which takes a moment

        return act(asked, minutes, out, watcher)


def _print(found: dict[str, Any], out: Path | None) -> None:
    typer.echo()
    plain = found["recommend"] in ("more_data", "unclear")
    tell(found["sentence"], fg="yellow" if plain else "green", bold=True)
    typer.echo()
    for line in _table(found):
        typer.echo(line)
    typer.echo()
    for reason in found["reasons"]:
        tell(reason)
    tell(
        f"Measured on {found['judged_rows']} held-out rows in {duration(found['seconds'])}. A "
        f"whole run on {found['rows']:,} rows would train for about "
        f"{duration(found['training_seconds'])}."
    )
    if out is not None:
        typer.echo(f"\nadvice    {out / 'advice.json'}")


def _table(found: dict[str, Any]) -> Iterator[str]:
    """A line for each option: its quality, and what a request costs."""
    unit = found["unit"]
    yield f"{unit:>14}  {'right':>9}  {'tokens':>7}  {'seconds':>8}  {'pays after':>11}  with"
    for option in found["options"]:
        cost, share = option["cost"], option["right"]
        exact = "" if share is None else f"{share:.0%} of {option['answers']}"
        tokens = f"{cost['tokens']:,.0f}" if cost else ""
        seconds = f"{cost['seconds']:.2g}" if cost else ""
        pays = option["requests_until_training_pays"]
        after = "" if pays is None else f"{pays:,}"
        yield (
            f"{option['loss']:>14.3f}  {exact:>9}  {tokens:>7}  {seconds:>8}  {after:>11}  "
            f"{option['title']}"
        )
