"""`tunesmith data`: look at data files before anything is trained on them."""

from __future__ import annotations

import typer

from tunesmith.cli.check import check
from tunesmith.cli.convert import convert
from tunesmith.cli.rows import show_rows

data = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Look at data files.")
data.command("check")(check)
data.command("show")(show_rows)
data.command("convert")(convert)
