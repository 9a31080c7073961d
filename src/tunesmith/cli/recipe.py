"""`tunesmith recipe`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.text import wrapped

if TYPE_CHECKING:
    from tunesmith.recipe import Knob

_WIDTH = 88


def recipe(
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of a recipe instead.")
    ] = False,
) -> None:
    """Print every key of a recipe.

    Each stands with its default under its meaning, type and unit. What is printed is itself a
    recipe: tunesmith recipe > recipe.yaml
    """
    from tunesmith.recipe import describe, json_schema

    if schema:
        typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
        return
    typer.echo(
        "# Every key of a recipe and its default. auto is chosen for your data and machine.\n"
    )
    section = ""
    for knob in describe():
        name, _, field = knob.key.partition(".")
        if name != section:
            section = name
            typer.echo(f"{section}:")
        typer.echo(_entry(knob, field))


def _entry(knob: Knob, field: str) -> str:
    """The key as a line of YAML, under a comment that says what it means and what it may be."""
    comment = wrapped(f"{knob.description}\nAllowed: {knob.type}.", _WIDTH, "  # ", "  # ")
    default = knob.default if isinstance(knob.default, str) else json.dumps(knob.default)
    return f"{comment}\n  {field}: {default}\n"
