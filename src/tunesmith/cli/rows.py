"""`tunesmith data show`: rows of a data file with the trained tokens in colour."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.options import Mapped, mapping_of
from tunesmith.cli.text import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from tunesmith.runs.show import Shown

_LEARNED = "black on green"
_CONTEXT = "dim"


class Kind(str, Enum):
    """What is learned of a row, as in the recipe's `objective.kind`."""

    sft = "sft"
    text = "text"


def show_rows(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Examples.", show_default=False)],
    base: Annotated[
        str, typer.Option(help="The model whose tokenizer and template are used.")
    ] = "anvil",
    rows: Annotated[int, typer.Option(metavar="N", min=1, help="How many rows.")] = 3,
    template: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A jinja template; else the one of the base."),
    ] = None,
    kind: Annotated[
        Kind, typer.Option(help="sft learns the answers, text learns every token.")
    ] = Kind.sft,
    mapped: Mapped = None,
) -> None:
    """Show what the model sees of each row, the learned tokens in colour.

    Elsewhere than on a terminal the learned tokens stand between ⟦ and ⟧.
    """
    from rich.console import Console

    from tunesmith.runs.show import show_data

    name = "auto" if template is None else str(template)
    mapping = mapping_of(mapped)
    shown = show_data(file, base, template=name, kind=kind.value, limit=rows, mapping=mapping)
    console = Console(highlight=False, markup=False, emoji=False)
    in_colour = console.color_system is not None and not console.no_color
    _print(_legend(in_colour), console)
    for row in shown:
        _print(_row(row, in_colour), console)


def _legend(in_colour: bool) -> Text:
    from rich.text import Text

    return Text.assemble(
        _stretch("learned", True, in_colour), "  ", _stretch("context only", False, in_colour), "\n"
    )


def _row(row: Shown, in_colour: bool) -> Text:
    from rich.text import Text

    if row.complaint is not None:
        return Text.assemble((str(row.origin), "bold"), f"  {row.complaint}\n")
    return Text.assemble(
        (str(row.origin), "bold"),
        f"  {row.tokens} tokens, {row.learned} learned\n",
        *(_stretch(text, learned, in_colour) for text, learned in row.stretches),
        "\n",
    )


def _stretch(text: str, learned: bool, in_colour: bool) -> tuple[str, str]:
    """The text with its style, or with brackets where there are no colours."""
    clean = visible(text)
    if in_colour:
        return clean, _LEARNED if learned else _CONTEXT
    return (f"⟦{clean}⟧" if learned else clean), ""


def _print(text: Text, console: Console) -> None:
    console.print(text, soft_wrap=not console.is_terminal)
