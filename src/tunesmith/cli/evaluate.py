"""`tunesmith evaluate`."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import AsJson, RunPath
from tunesmith.cli.text import sentence, tell


class Level(str, Enum):
    """`evaluate.level`, but for none."""

    quick = "quick"
    standard = "standard"
    full = "full"


_MARKS = {True: ("pass", "green"), False: ("fail", "red"), None: ("–", None)}
_QUESTIONS = {
    "learned": "Did it learn?",
    "kept": "Did it keep what it knew?",
    "memorised": "Did it merely memorise?",
    "worth": "Was it worth it?",
    "parity": "Is it what you will serve?",
}


def evaluate(
    run: RunPath,
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Examples that the run has not seen.", show_default=False
        ),
    ],
    level: Annotated[
        Level | None,
        typer.Option(help="How much is measured; else as much as the run measured."),
    ] = None,
    only_rows: Annotated[
        bool,
        typer.Option(
            "--only-rows",
            help="Leave the training rows alone: quicker, without memorising and worth.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Judge the tuned model of a run against its base on another file.

    Measures what the run's own verdict rests on, and answers in the same form. Nothing is written.
    """
    from tunesmith.cli.console import progress

    with progress(plain=as_json) as watcher:
        watcher.stage("start", f"the run folder is {run}")
        from tunesmith.runs.evaluate import evaluate as evaluate_run
        from tunesmith.runs.open import open_run

        asked = level.value if level else None
        verdict = evaluate_run(open_run(run), data, watcher, level=asked, only_rows=only_rows)
    if as_json:
        typer.echo(json.dumps(verdict, indent=2, ensure_ascii=False))
        return
    colour = "green" if verdict["decision"] == "ship" else "yellow"
    typer.echo()
    tell(verdict["sentence"], fg=colour, bold=True)
    typer.echo()
    for key, question in _QUESTIONS.items():
        word, colour_of_mark = _MARKS[verdict[key]["pass"]]
        summary = verdict[key]["detail"].get("summary") or "not measured"
        tell(f"{typer.style(f'{word:<4}', fg=colour_of_mark)}  {question} {summary}", hang=6)
        if paid := verdict[key]["detail"].get("money"):
            tell(f"      {sentence(paid['summary'])}", hang=6)
