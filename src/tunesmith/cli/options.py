"""Arguments and options that several commands have: one name, one meaning, one help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RecipeFile = Annotated[
    Path | None,
    typer.Argument(metavar="RECIPE", help="A YAML file; `tunesmith recipe` prints all keys."),
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
BaseName = Annotated[
    str | None,
    typer.Option(help="The model: a folder, a hub name (owner/name), or anvil, the default."),
]
DataFiles = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Examples, JSON lines or JSON. May be repeated."),
]
ValidationFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Held-out examples; else a share of --data is held out."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A key of the recipe: engine.epochs=2. May be repeated.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, and progress on stderr.")
]
