"""`tunesmith data show`: rows with the trained tokens in colour, and what all of them amount to."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.cli.options import AsJson, BaseName, Mapped, Overrides, mapping_of
from tunesmith.cli.text import tell
from tunesmith.core.files import require_new
from tunesmith.core.text import visible
from tunesmith.runs.asked import recipe_from

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from tunesmith.recipe import Recipe
    from tunesmith.runs.show import Shown, ShownData

_STYLES = {"trained": "black on green", "context": "dim", "dropped": "black on dark_orange"}
_BRACKETS = {"trained": "⟦{}⟧", "context": "{}", "dropped": "⟨{}⟩"}
_BAR = 40
"""Characters of the longest bar of the histogram."""
_NAME = 10


class Kind(str, Enum):
    """What is learned of a row, as in the recipe's `objective.kind`."""

    sft = "sft"
    text = "text"


def show_rows(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Examples.", show_default=False)
    ],
    base: BaseName = None,
    rows: Annotated[int, typer.Option(metavar="N", min=1, help="How many rows.")] = 3,
    template: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A jinja template; else the one of the base."),
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option(help="sft, the default, learns the answers, text every token."),
    ] = None,
    mapped: Mapped = None,
    set_: Overrides = None,
    price: Annotated[
        float | None,
        typer.Option(metavar="P", min=0, help="What a million tokens cost: adds the sum."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Passes that the price is paid for.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the same as one page.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the model sees of the first rows, and what all of them amount to.

    The trained tokens are in colour; elsewhere than on a terminal they stand between ⟦ and ⟧, and
    those of dropped rows between ⟨ and ⟩. The figures are those of a run: `--set` takes its keys.
    """
    settings: dict[str, Any] = {"objective.kind": kind.value} if kind else {}
    settings |= {"data.mapping": mapping_of(mapped)} if mapped else {}
    settings |= {"data.template": str(template)} if template else {}
    settings |= {"engine.epochs": epochs} if epochs else {}
    data = [str(file) for file in files]
    recipe = recipe_from(None, base=base, data=data, overrides=set_ or (), settings=settings)
    if html is not None:
        require_new(html, "the page")
    shown = _shown(recipe, rows, price, html, as_json)
    if as_json:
        typer.echo(json.dumps(shown.to_json(), indent=2, ensure_ascii=False))
        return
    _print_rows(shown)
    _print_figures(shown)
    if html is not None:
        tell(f"page      {html}", hang=_NAME)


def _shown(
    recipe: Recipe, rows: int, price: float | None, html: Path | None, as_json: bool
) -> ShownData:
    from tunesmith.cli.console import progress

    with progress(plain=as_json) as watcher:
        watcher.stage("start", "the files are only read")
        from tunesmith.runs.show import show_data, write_page  # brings torch

        shown = show_data(recipe, limit=rows, price=price, watcher=watcher)
        if html is not None:
            write_page(shown, html)
        return shown


def _print_rows(shown: ShownData) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    in_colour = console.color_system is not None and not console.no_color
    if shown.rows:
        _print(_legend(in_colour), console)
    for row in shown.rows:
        _print(_row(row, in_colour), console)


def _legend(in_colour: bool) -> Text:
    from rich.text import Text

    names = ("trained", "context", "dropped")
    words = [_stretch(name, name, in_colour) for name in names]
    return Text.assemble(words[0], "  ", words[1], "  ", words[2], "\n")


def _row(row: Shown, in_colour: bool) -> Text:
    from rich.text import Text

    values = row.to_json()
    outcome = values["outcome"].replace("_", " ")
    head = f"{row.tokens:,} tokens, {values['trained_tokens']:,} trained" if row.tokens else ""
    said = ": ".join(part for part in (outcome, head) if part)
    rest = [f"… and {row.cut:,} tokens more"] if row.cut else []
    rest += [f"… and {row.more:,} sequences more of this row"] if row.more else []
    return Text.assemble(
        (str(row.origin), "bold"),
        f"  {said}\n",
        *([(f"{visible(row.complaint)}\n", "red" if in_colour else "")] if row.complaint else []),
        *(_stretch(each["text"], each["is"], in_colour) for each in values["stretches"]),
        "\n" if row.stretches else "",
        *(f"{line}\n" for line in rest),
    )


def _stretch(text: str, what: str, in_colour: bool) -> tuple[str, str]:
    """The text with its style, or with brackets where there are no colours."""
    clean = visible(text)
    return (clean, _STYLES[what]) if in_colour else (_BRACKETS[what].format(clean), "")


def _print(text: Text, console: Console) -> None:
    console.print(text, soft_wrap=not console.is_terminal)


def _print_figures(shown: ShownData) -> None:
    from tunesmith.evaluate.shown import lines_of

    found = shown.to_json()
    if shown.figures is None:
        tell("A run on these files would stop:", bold=True)
        tell(visible(shown.refusal or ""))
        return
    for sentence in shown.recognised:
        tell(sentence)
    typer.echo()
    figures = found["figures"]
    for name, said in lines_of(figures, found["cost"]):
        tell(f"{name:<{_NAME}}{said}", hang=_NAME)
        if name == "lengths":
            _print_histogram(figures["lengths"]["bins"])
        if name == "repeated" and figures["prefix"]:
            start = json.dumps(figures["prefix"]["text"], ensure_ascii=False)
            tell(f"{'':{_NAME}}{visible(start)}", hang=_NAME)


def _print_histogram(bins: list[dict[str, int]]) -> None:
    """A bar for each bin, the longest `_BAR` characters."""
    most = max(each["sequences"] for each in bins)
    ranges = [
        f"{each['low']:,}" + (f" to {each['high']:,}" if each["high"] > each["low"] else "")
        for each in bins
    ]
    wide = max(map(len, ranges))
    for each, between in zip(bins, ranges, strict=True):
        bar = "█" * round(_BAR * each["sequences"] / most)
        bar = bar or ("▏" if each["sequences"] else "")
        typer.echo(f"{'':{_NAME}}{between:>{wide}} {bar} {each['sequences']:,}")
