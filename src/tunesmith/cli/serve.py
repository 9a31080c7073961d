"""`tunesmith serve`."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from tunesmith.cli.options import ServiceHome, StoreUrl, require_serve, service_home
from tunesmith.cli.text import tell


def serve(
    home: ServiceHome = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Where to listen; else 127.0.0.1, this machine."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=65535, help="Else 8000; 0 takes a free one."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Processes that train side by side; else 1."),
    ] = None,
    base: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="A model to tune and to ask: the name that clients give, and a folder, a hub name "
            "or anvil. May be repeated.",
        ),
    ] = None,
    vllm: Annotated[
        str | None, typer.Option(metavar="URL", help="A vLLM server that answers in its place.")
    ] = None,
    database: StoreUrl = None,
) -> None:
    """Serve the fine-tuning API, so that clients of the hosted ones run on this machine.

    All of its state lies in --home. What these options do not say stands in serve.yaml there.
    """
    require_serve("tunesmith serve")
    asked = {"host": host, "port": port, "workers": workers, "vllm": vllm, "database": database}
    settings: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
    if base:
        settings["bases"] = _bases(base)
    from tunesmith.serve.configure import configured
    from tunesmith.serve.run import run

    run(configured(service_home(home), settings), tell)


def _bases(named: list[str]) -> dict[str, str]:
    pairs = [(text, *text.partition("=")[::2]) for text in named]
    for text, name, path in pairs:
        if not name or not path:
            raise typer.BadParameter(f"{text} is not NAME=PATH, as in small=./models/small.")
    return {name: os.path.expanduser(path) for _, name, path in pairs}
