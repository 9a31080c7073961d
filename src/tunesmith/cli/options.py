"""Arguments and options that several commands have: one name, one meaning, one help."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.core.errors import Unsupported

if TYPE_CHECKING:
    from tunesmith.data.feedback import FeedbackStore

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
    typer.Option(
        metavar="FILE",
        help="Examples: a file (JSON lines, JSON, CSV, Parquet, text), a folder or a pattern. May "
        "be repeated.",
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE=NUMBER",
        help="How often an epoch sees each row of a file named by --data: general.jsonl=0.5. May "
        "be repeated; else 1.",
    ),
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
Mapped = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="FIELD=NAME",
        help="Read a field of the data under another name: reply=completion. May be repeated.",
    ),
]
Home = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        envvar="TUNESMITH_HOME",
        help="Where the named models are kept; else ~/.local/share/tunesmith.",
    ),
]
StoreFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where judgements are kept; else feedback.sqlite in --home."),
]
ServiceHome = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Where all of the service's state lies; else ~/.local/share/tunesmith/service.",
    ),
]
StoreUrl = Annotated[
    str | None,
    typer.Option("--database", metavar="URL", help="A PostgreSQL database; else a file in --home."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, and progress on stderr.")
]


def home_of(home: Path | None) -> Path:
    """The folder that `--home` means."""
    return home if home is not None else Path.home() / ".local" / "share" / "tunesmith"


def store_of(store: Path | None, home: Path | None, *, new: bool = True) -> FeedbackStore:
    """The store that `--store` and `--home` mean, made where there is none and it may be `new`."""
    from tunesmith.data.feedback import FeedbackStore

    return FeedbackStore(store or home_of(home) / "feedback.sqlite", new=new)


def mapping_of(mapped: list[str] | None) -> dict[str, str]:
    """What `--map` says, as `data.mapping` in the recipe."""
    pairs = [(text, *text.partition("=")[::2]) for text in mapped or []]
    for text, field, name in pairs:
        if not field or not name:
            raise typer.BadParameter(f"{text} is not FIELD=NAME, as in reply=completion.")
    return {field: name for _, field, name in pairs}


def run_named(run: Path, home: Path | None) -> Path:
    """The run folder itself, or that of the model which was promoted under this name."""
    from tunesmith.runs.promote import promoted_run

    return run if run.exists() else promoted_run(str(run), home_of(home)) or run


def service_home(home: Path | None) -> Path:
    """The folder that `--home` of the service means."""
    return (home if home is not None else home_of(None) / "service").absolute()


def require_serve(command: str) -> None:
    """See that the service's libraries are there, without importing them. Raises Unsupported."""
    missing = [name for name in ("fastapi", "uvicorn", "alembic") if find_spec(name) is None]
    if missing:
        raise Unsupported(
            f"`{command}` needs {' and '.join(missing)}, which is not installed with Tunesmith "
            "alone. Install it: pip install 'tunesmith[serve]'."
        )
