"""`tunesmith label`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.options import Home, run_named
from tunesmith.cli.text import tell
from tunesmith.core.errors import InputError
from tunesmith.core.records import Origin

if TYPE_CHECKING:
    from tunesmith.runs.labels.ask import Asking


def label(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, or the name of a promoted model.")
    ],
    once: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Label this text (or the image of this path), and leave."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Label each row of a data file; JSON lines come out."),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The field of the rows that holds the text [text], or the image's path [image].",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the lines here, whole or not at all.")
    ] = None,
    home: Home = None,
) -> None:
    """Label texts or images with the tuned model of a run (objective.kind=classify, tag, image).

    Each answer has its labels, the probability of the likeliest, and whether that is enough not to
    ask a person (evaluate.abstain); or, of a model that tags, the fields of the text with their
    places in it.
    """
    if (once is None) == (data is None):
        raise InputError("Give either --once TEXT or --data FILE: what should be labelled?")
    from tunesmith.runs.asking import open_labeller
    from tunesmith.runs.open import open_run

    labeller = open_labeller(open_run(run_named(run, home)))
    if once is not None:
        (answer,) = labeller.label([(Origin("--once", 1), once)])
        typer.echo(json.dumps(answer.to_json(), ensure_ascii=False))
    elif data is not None:
        _label_file(labeller, data, field, out)


def _label_file(labeller: Asking, data: Path, field: str | None, out: Path | None) -> None:
    from tunesmith.core.files import write_jsonl
    from tunesmith.runs.labels.ask import label_file

    rows = label_file(labeller, data, field)
    if out is None:
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False))
        return
    if out.exists():
        raise InputError(f"{out} exists already. Name another file with --out, or remove it.")
    labelled = list(rows)
    write_jsonl(out, labelled)
    tell(f"{len(labelled)} rows labelled: {out}")
