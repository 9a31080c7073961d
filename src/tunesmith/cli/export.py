"""`tunesmith export`."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from tunesmith.cli.options import AsJson, Home, run_named
from tunesmith.cli.text import tell


class DType(str, Enum):
    """Number formats of weights."""

    float32 = "float32"
    bfloat16 = "bfloat16"


def export(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="A run folder, or the name of a promoted model.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="A new folder.", show_default=False)],
    dtype: Annotated[
        DType | None, typer.Option(help="The type of the weights; else that of the run.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Write the tuned model of a run as a plain model folder: merged, and proved equal.

    Plain transformers opens it, and model.base=FOLDER trains it on. What was written is read back
    and compared with the run's model; where they differ nothing is left behind.
    """
    from tunesmith.cli.console import progress

    with progress(plain=as_json) as watcher:
        watcher.stage("start", f"the model goes to {out}")
        from tunesmith.runs.export import export as export_run
        from tunesmith.runs.open import open_run

        opened = open_run(run_named(run, home))
        done = export_run(opened, out, dtype=dtype.value if dtype else None, watcher=watcher)
    if as_json:
        told = {"folder": str(done.folder), "dtype": done.dtype, **asdict(done.difference)}
        typer.echo(json.dumps(told, indent=2))
        return
    tell(f"{done.folder} holds the model in {done.dtype}: {done.difference.summary}.")
    tell(f"To train it on: --base {done.folder}")
