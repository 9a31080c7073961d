"""The command `tunesmith`: its table of commands, and how it ends."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

import tunesmith
from tunesmith.cli import failures
from tunesmith.cli.advise import advise
from tunesmith.cli.chat import chat
from tunesmith.cli.compare import compare
from tunesmith.cli.curve import curve
from tunesmith.cli.data import data
from tunesmith.cli.distil import distil
from tunesmith.cli.doctor import doctor
from tunesmith.cli.embed import embed
from tunesmith.cli.evaluate import evaluate
from tunesmith.cli.export import export
from tunesmith.cli.feedback import feedback
from tunesmith.cli.gate import models, promote, rollback
from tunesmith.cli.grade import grade
from tunesmith.cli.improve import improve
from tunesmith.cli.judge import judge
from tunesmith.cli.keys import keys
from tunesmith.cli.label import label
from tunesmith.cli.operate import audit, backup, restore
from tunesmith.cli.plan import plan
from tunesmith.cli.recipe import recipe
from tunesmith.cli.sample import sample
from tunesmith.cli.score import score
from tunesmith.cli.search import search
from tunesmith.cli.serve import serve
from tunesmith.cli.train import train


@dataclass
class Asked:
    """What stands before the name of a command."""

    debug: bool = False


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

for command in (
    *(advise, train, plan, curve, search, improve, chat, label, embed, score),
    *(evaluate, judge, grade, distil, sample),
):
    app.command()(command)
app.add_typer(data, name="data")
app.add_typer(feedback, name="feedback")
app.command()(compare)
app.command()(promote)
app.command()(rollback)
app.command()(models)
app.command()(export)
app.command()(serve)
app.add_typer(keys, name="keys")
app.command()(backup)
app.command()(restore)
app.command()(audit)
app.command()(recipe)
app.command()(doctor)


def main() -> None:
    """The entry point of the command; never returns."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line and return its exit code. Every failure becomes a sentence."""
    asked = Asked()
    try:
        with warnings.catch_warnings():
            # Remarks of libraries to programmers; ours reach the user through a watcher.
            warnings.simplefilter("ignore")
            app(list(arguments), prog_name="tunesmith", obj=asked)
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0
    except Exception as error:
        return failures.report(error, asked.debug)
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tunesmith {tunesmith.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _begin(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")
    ] = False,
) -> None:
    """Specialise a pre-trained model on your examples, with the proof that it worked.

    To begin: tunesmith train --data FILE
    """
    if isinstance(context.obj, Asked):
        context.obj.debug = debug
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
