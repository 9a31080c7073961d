"""`tunesmith improve`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.cli import failures
from tunesmith.cli.options import AsJson, DataFiles, Overrides, RecipeFile, ValidationFile
from tunesmith.cli.text import duration, tell
from tunesmith.runs.asked import improve_folder, recipe_from
from tunesmith.runs.improve.wanted import Wanted

if TYPE_CHECKING:
    from tunesmith.recipe import Recipe

_ANY = "any"


def improve(
    recipe: RecipeFile = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="The model: a folder, a hub name, a finished run, or anvil, the default."
        ),
    ] = None,
    data: DataFiles = None,
    validation: ValidationFile = None,
    answers: Annotated[int, typer.Option(metavar="N", help="Answers drawn to each prompt.")] = 8,
    at_least: Annotated[
        str,
        typer.Option(
            metavar="NUMBER", help="The reward from which an answer is accepted; any: the best are."
        ),
    ] = "1",
    keep: Annotated[
        int,
        typer.Option(metavar="N", help="At most so many accepted answers a prompt are learned."),
    ] = 2,
    rounds: Annotated[
        int, typer.Option(metavar="N", help="At most so many; fewer where one brings no gain.")
    ] = 3,
    temperature: Annotated[float, typer.Option(help="How freely answers are drawn.")] = 1.0,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(metavar="N", help="The longest answer; else 256, or what the context leaves."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder; else runs/<name of the data>-improve."),
    ] = None,
    set_: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Let a model learn from those of its own answers that a reward accepts.

    Draws several answers to each prompt, keeps the best that the recipe's reward accepts, tunes the
    base on them, and begins again with the better model, while held-out prompts are answered
    better. With objective.kind=dpo it learns from pairs of its best and worst answers. Each round's
    rows stand in its folder. The same command again goes on after an interruption.
    """
    asked = recipe_from(recipe, base=base, data=data, validation=validation, overrides=set_ or ())
    wanted = Wanted(answers, keep, rounds, _reward(at_least), temperature, max_new_tokens)
    folder = out if out is not None else improve_folder(asked)
    with failures.resumable(lambda: "the same command again"):
        found = _found(asked, wanted, folder, as_json)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _print(found, folder)


def _reward(text: str) -> float | None:
    try:
        return None if text == _ANY else float(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a number, as in 0.5, nor any.", param_hint="--at-least"
        ) from None


def _found(asked: Recipe, wanted: Wanted, folder: Path, as_json: bool) -> dict[str, Any]:
    from tunesmith.cli.console import progress

    with progress(plain=as_json) as watcher:
        watcher.stage("start", f"the folder is {folder}")
        from tunesmith.runs.improve.act import improve as act  # brings torch

        return act(asked, wanted, folder, watcher)


def _print(found: dict[str, Any], folder: Path) -> None:
    change = found["rounds"][found["best"]]["change"]
    sure = change is not None and change["low"] > 0
    typer.echo()
    tell(found["sentence"], fg="green" if sure else "yellow", bold=True)
    tell(f"It ended because {found['why']}.")
    typer.echo()
    for line in _table(found):
        typer.echo(line)
    typer.echo()
    for caution in found["cautions"]:
        tell(caution)
    typer.echo(f"\nmodel     {found['model']}\nrounds    {folder / 'improved.json'}")


def _table(found: dict[str, Any]) -> Iterator[str]:
    """A line for the model that it began with, and one for each round."""
    measure = found["measure"]
    heading = f"held-out {measure} (95 %)"
    yield (
        f"{'round':>5}  {'tokens':>10}  {'kept':>7}  {'without':>7}  {heading:<28}"
        f"{'change (95 %)':<28}time"
    )
    show = _percent if measure == "success" else _number
    for line in found["rounds"]:
        samples = line["samples"]
        counts = [samples["tokens"], samples["kept"], samples["prompts_without"]] if samples else []
        tokens, kept, without = (f"{count:,}" for count in counts) if counts else ("", "", "")
        change = _interval(line["change"], show) if line["change"] else ""
        mark = "*" if line["round"] == found["best"] else ""
        yield (
            f"{mark + str(line['round']):>5}  {tokens:>10}  {kept:>7}  {without:>7}  "
            f"{_interval(line[measure], show):<28}{change:<28}"
            f"{duration(sum(line['seconds'].values()))}"
        )
    yield "* the best on the held-out prompts that choose; without: prompts without a kept answer"


def _interval(values: dict[str, float], show: Any) -> str:
    return f"{show(values['value'])} ({show(values['low'])} to {show(values['high'])})"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _number(value: float) -> str:
    return f"{value:.3f}"
