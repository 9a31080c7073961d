"""`tunesmith compare`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import AsJson
from tunesmith.cli.text import tell
from tunesmith.core.files import require_new, write_text


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN RUN...", help="Run folders.", show_default=False),
    ],
    as_json: AsJson = False,
    html: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the same as one page.")
    ] = None,
) -> None:
    """Put finished runs side by side, on the held-out rows that all of them share.

    Differences are to the first run, paired by row, with 95 % intervals.
    """
    from tunesmith.evaluate.compared import render_comparison, table_of
    from tunesmith.runs.compare import compare_runs

    if html is not None:
        require_new(html, "the page")
    found = compare_runs(runs)
    if html is not None:
        write_text(html, render_comparison(found))
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
        return
    tell(found.sentence, bold=True)
    for note in found.notes:
        tell(note, fg="yellow")
    typer.echo()
    table = table_of(found)
    _print_table([table.heads, *table.rows])
    if html is not None:
        tell(f"\npage  {html}")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns under each other, two spaces apart; never wrapped, so that they stay columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())
