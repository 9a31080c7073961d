"""`tunesmith data convert`: the rows of a data file in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import Mapped, mapping_of
from tunesmith.cli.text import tell, visible


def convert(
    file: Annotated[Path, typer.Argument(metavar="IN", help="Examples.", show_default=False)],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new file.", show_default=False)],
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="chat, sharegpt, instruction, completion, prompt, text, preference, "
            "openai_preference, rating, label, tags, pair, triplet or image.",
        ),
    ] = "chat",
    mapped: Mapped = None,
) -> None:
    """Write the rows of a file as JSON lines in another format.

    Rows that the format cannot hold are left out and counted.
    """
    from tunesmith.runs.convert import convert as convert_rows

    converted = convert_rows([str(file)], out, to, mapping_of(mapped))
    for sentence in converted.recognised:
        tell(sentence)
    for sentence in converted.first:
        tell(visible(sentence))
    listed = ", ".join(f"{reason} {rows:,}" for reason, rows in converted.left_out.items())
    tell(f"{out}: {converted.written:,} rows as {to}; left out: {listed or 'none'}.")
