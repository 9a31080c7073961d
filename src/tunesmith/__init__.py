"""Tunesmith: from a pre-trained model and your examples to a specialised model, with the proof.

    import tunesmith

    run = tunesmith.train(base="anvil", data="tickets.jsonl", set={"engine.epochs": 2})
    run.verdict["sentence"]     # ship or hold, and why
    run.chat("Where is my order?")
    run.report                  # the path of a page to read or to send

Importing this package imports no torch: each function brings what it needs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.version import VERSION

if TYPE_CHECKING:
    from typing import TypeAlias

    from tunesmith.core.ports import Watcher
    from tunesmith.runs.open import Run

    Source: TypeAlias = str | PathLike[str] | Mapping[str, Any]

__all__ = ["__version__", "open_run", "progress", "train"]

__version__ = VERSION

# The hub's library tells the hub which other packages and agents it runs beside, unless it is told
# not to before it is imported; nothing is sent that was not asked for.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def train(
    *,
    base: str | PathLike[str] | None = None,
    data: Source | Sequence[Source] | None = None,
    validation: str | PathLike[str] | None = None,
    out: str | PathLike[str] | None = None,
    recipe: str | PathLike[str] | None = None,
    set: Mapping[str, Any] | None = None,
    watcher: Watcher | None = None,
) -> Run:
    """Train, evaluate and judge a specialised model; what `tunesmith train` does.

    Args:
        base: a model folder, a hub name (owner/name, which is fetched), or `anvil`, the small
            model inside this package (the default).
        data: one or several files of examples, folders of them, or patterns such as `*.jsonl`. One
            that is mixed in by a weight is `{"path": "general.jsonl", "weight": 0.5}`: how often an
            epoch sees each of its rows.
        validation: a file of held-out examples; without it a share of `data` is held out.
        out: the run folder, which must be new; by default runs/<name of the data>-<number>.
        recipe: a YAML file with any of the keys that `tunesmith recipe` lists.
        set: the same keys by their dotted names, as in `--set`: `{"engine.epochs": 2}`. They
            win over the recipe and over the arguments above.
        watcher: told what happens, see `progress`; None says nothing.

    Raises:
        InputError: something given cannot be used; the sentence says what, where, and what to do.
        TunesmithError: see `tunesmith.core.errors` for the others.
    """
    from tunesmith.runs.asked import free_folder, recipe_from
    from tunesmith.runs.train import train as train_run

    asked = recipe_from(
        Path(recipe) if recipe is not None else None,
        base=base,
        data=data,
        validation=validation,
        settings=set,
    )
    folder = Path(out) if out is not None else free_folder(asked)
    return train_run(asked, folder, watcher=watcher)


def open_run(path: str | PathLike[str]) -> Run:
    """Open the folder of a run: its verdict, its report, and a chat with its model.

    Raises RunFolderError if `path` is not a run folder.
    """
    from tunesmith.runs.open import open_run as open_folder

    return open_folder(Path(path))


def progress() -> AbstractContextManager[Watcher]:
    """A watcher for `train` that reports on stderr: a bar on a terminal, plain lines elsewhere.

    with tunesmith.progress() as watcher:
        run = tunesmith.train(data="tickets.jsonl", watcher=watcher)
    """
    from tunesmith.cli.console import progress as on_stderr

    return on_stderr()
