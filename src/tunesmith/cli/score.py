"""`tunesmith score`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.options import Home, Mapped, mapping_of, run_named
from tunesmith.cli.text import tell
from tunesmith.core.errors import InputError

if TYPE_CHECKING:
    from tunesmith.core.records import Row


def score(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, or the name of a promoted model.")
    ],
    once: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Judge this answer to --prompt, and leave.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the answer of --once answers.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Judge the answers in each row of a data file (-: JSON lines on standard input); "
            "JSON lines come out.",
        ),
    ] = None,
    mapped: Mapped = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the lines here, whole or not at all.")
    ] = None,
    home: Home = None,
) -> None:
    """Say what answers are worth by the reward model of a run (objective.kind=reward).

    Of a model that learned from pairs only the difference between answers to one prompt means
    anything; a row with two answers gets the probability that people prefer the chosen one.
    """
    if (once is None) == (data is None):
        raise InputError("Give either --once TEXT or --data FILE: which answer should be judged?")
    if (once is None) != (prompt is None):
        raise InputError("Give --prompt TEXT with --once TEXT: an answer answers a prompt.")
    if out is not None and out.exists():
        raise InputError(f"{out} exists already. Name another file with --out, or remove it.")
    from tunesmith.core.files import write_jsonl
    from tunesmith.runs.labels.ask_rewards import RewardModel, score_rows
    from tunesmith.runs.open import open_run

    opened = open_run(run_named(run, home))
    mapping = mapping_of(mapped) if mapped else opened.recipe.data.mapping or {}
    lines = score_rows(RewardModel(opened), _rows(once, prompt, data), mapping)
    if out is None:
        for line in lines:
            typer.echo(json.dumps(line["judged"] if once else line, ensure_ascii=False))
        return
    judged = list(lines)
    write_jsonl(out, judged)
    tell(f"{len(judged)} rows judged: {out}")


def _rows(once: str | None, prompt: str | None, data: str | None) -> Iterable[Row]:
    from tunesmith.core.records import Origin, Row
    from tunesmith.data.sources import read
    from tunesmith.runs.labels.ask_rewards import rows_in

    if data is None:
        return [Row(Origin("--once", 1), {"prompt": prompt, "completion": once})]
    return rows_in(sys.stdin) if data == "-" else read([data])
