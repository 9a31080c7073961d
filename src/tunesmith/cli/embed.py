"""`tunesmith embed`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.cli.options import Home, run_named
from tunesmith.cli.text import tell
from tunesmith.core.errors import InputError
from tunesmith.core.records import Origin

if TYPE_CHECKING:
    from tunesmith.runs.labels.ask_embed import Embedder, Placed


def embed(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder, or the name of a promoted model.")
    ],
    once: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The vector of this text, and leave.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Vectors of all rows of a data file.")
    ] = None,
    field: Annotated[
        str, typer.Option(metavar="NAME", help="The field of the rows that holds the text.")
    ] = "text",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write here: an array (.npy), or JSON lines."),
    ] = None,
    among: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Name the nearest rows of this file instead."),
    ] = None,
    among_field: Annotated[
        str, typer.Option(metavar="NAME", help="The field of those rows that holds the text.")
    ] = "text",
    count: Annotated[int, typer.Option(metavar="N", min=1, help="How many of them.")] = 5,
    home: Home = None,
) -> None:
    """Make vectors of texts with the tuned model of a run (objective.kind=embed), or search.

    Vectors have length 1, so that their products are cosines.
    """
    if (once is None) == (data is None):
        raise InputError("Give either --once TEXT or --data FILE: what should become vectors?")
    if out is not None and out.exists():
        raise InputError(f"{out} exists already. Name another file with --out, or remove it.")
    if out is not None and out.suffix == ".npy" and among is not None:
        raise InputError("What --among finds is no array. Name a file of JSON lines with --out.")
    from tunesmith.runs.labels.ask_embed import Embedder, texts_in
    from tunesmith.runs.open import open_run

    texts = [(Origin("--once", 1), once)] if once is not None else texts_in(_given(data), field)
    others = None if among is None else texts_in(among, among_field)
    embedder = Embedder(open_run(run_named(run, home)))
    if out is not None and out.suffix == ".npy":
        _write_array(out, embedder, texts)
    else:
        _write_lines(out, _lines(embedder, texts, others, count))


def _given(data: Path | None) -> Path:
    assert data is not None
    return data


def _lines(
    embedder: Embedder, texts: list[Placed], others: list[Placed] | None, count: int
) -> list[dict[str, Any]]:
    if others is None:
        found = [{"vector": vector.tolist()} for vector in embedder.vectors(texts)]
    else:
        near = embedder.nearest(texts, others, count)
        found = [{"nearest": [each.to_json() for each in some]} for some in near]
    return [{"text": text, **line} for (_, text), line in zip(texts, found, strict=True)]


def _write_lines(out: Path | None, lines: list[dict[str, Any]]) -> None:
    from tunesmith.core.files import write_jsonl

    if out is None:
        for line in lines:
            typer.echo(json.dumps(line, ensure_ascii=False))
        return
    write_jsonl(out, lines)
    tell(f"{len(lines)} texts: {out}")


def _write_array(out: Path, embedder: Embedder, texts: list[Placed]) -> None:
    import numpy as np

    from tunesmith.core.files import storage_errors

    vectors = embedder.vectors(texts)
    with storage_errors(out):
        np.save(out, vectors, allow_pickle=False)
    tell(f"{vectors.shape[0]} vectors of {vectors.shape[1]} numbers: {out}")
