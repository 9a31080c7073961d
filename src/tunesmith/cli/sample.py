"""`tunesmith sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import BaseName
from tunesmith.cli.text import tell


def sample(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new file.", show_default=False)],
    base: BaseName = None,
    rows: Annotated[int, typer.Option(min=1, help="How many rows.")] = 200,
    tokens: Annotated[
        int, typer.Option(min=1, help="The longest text; the longest answer in a chat.")
    ] = 256,
    opening: Annotated[
        str, typer.Option(help="Words that each text, or each question, begins with.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Another seed draws other rows.")] = 0,
) -> None:
    """Let a base write rows, to be learned again beside your own.

    A model that also learns what its base would have written forgets less of it. A base with a chat
    template writes conversations, any other writes texts.
    """
    from tunesmith.cli.console import progress

    with progress() as watcher:
        watcher.stage("start", f"the rows go to {out}")
        from tunesmith.runs.sample import Wanted
        from tunesmith.runs.sample import sample as sample_rows

        wanted = Wanted(rows, tokens, seed, opening)
        drawn, form = sample_rows(base or "anvil", wanted, out, watcher)
    tell(f"{out}: {rows:,} rows of {form} from {drawn:,} texts that the base wrote.")
