"""`tunesmith judge`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import AsJson, Overrides, RunPath
from tunesmith.cli.text import tell


def judge(
    run: RunPath,
    url: Annotated[
        str | None,
        typer.Option(help="An OpenAI-compatible endpoint, as in http://localhost:8000/v1."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="What the endpoint calls the model that judges.")
    ] = None,
    key_variable: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The environment variable with the endpoint's key."),
    ] = None,
    rubric: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A text that says what makes an answer good."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Pairs that people compared: JSON lines {prompt, a, b, preferred}."
        ),
    ] = None,
    set_: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Let a model judge the answers of a finished run, each pair in both orders.

    The held-out questions, the answers wanted and those of the models are sent to the endpoint.
    What is not given is taken from the run's recipe. Replies are kept in the run folder, so the
    same command goes on after an interruption; verdict, report and model card are written again.
    """
    from tunesmith.cli.console import progress
    from tunesmith.runs.judge import judge as judge_run

    named = {
        "judge.url": url,
        "judge.model": model,
        "judge.key_variable": key_variable,
        "judge.rubric": rubric,
        "judge.labels": labels,
    }
    given = {key: value for key, value in named.items() if value is not None}
    with progress(plain=as_json) as watcher:
        verdict = judge_run(run, given, set_ or (), watcher)
    if as_json:
        typer.echo(json.dumps(verdict.to_json(), indent=2, ensure_ascii=False))
        return
    typer.echo()
    for clause in verdict.learned.detail["judge"]["clauses"]:
        tell(f"- {clause}", hang=2)
    typer.echo()
    tell(verdict.sentence, fg="green" if verdict.decision == "ship" else "yellow", bold=True)
    typer.echo()
    typer.echo(f"report    {run / 'report.html'}")
