"""How a command fails: one finished sentence on stderr, and the exit code of its kind.

0 done, 1 our failure, 2 the user's input, 3 the verdict says hold where a gate was asked for,
130 interrupted.
"""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from tunesmith.cli.text import tell
from tunesmith.core.errors import GateHeld, Interrupted, StorageError, TunesmithError


def report(error: Exception, debug: bool) -> int:
    """Tell the user about `error`; returns the exit code."""
    if isinstance(error, TunesmithError):
        # Being interrupted or held by a gate is what was asked for, not an error.
        asked_for = isinstance(error, (Interrupted, GateHeld))
        tell(str(error) if asked_for else f"error: {error}", err=True)
        return error.exit_code
    if debug:
        typer.echo("".join(traceback.format_exception(error)), err=True, nl=False)
        return 1
    path = _keep_traceback(error)
    tell(
        f"error: Something failed that should not have ({_in_short(error)}). The traceback is in "
        f"{path}: please send it along when you report this. `tunesmith --debug` in front of the "
        "same command shows it here.",
        err=True,
    )
    return 1


@contextmanager
def resumable(how: Callable[[], str | None]) -> Iterator[None]:
    """Work that an interruption or a full disk stops and that can go on: the command ends with its
    exit code, and `how` says which command goes on (None where there is nothing to go on with)."""
    try:
        yield
    except (Interrupted, StorageError) as stopped:
        code = report(stopped, debug=False)
        command = how()
        if command is not None:
            typer.echo(f"go on     {command}", err=True)
        raise typer.Exit(code) from None


def _in_short(error: Exception) -> str:
    """The kind of error and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _keep_traceback(error: Exception) -> str:
    """Write the traceback to a new file among the temporary ones; returns its path."""
    descriptor, path = tempfile.mkstemp(prefix="tunesmith-traceback-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.writelines(traceback.format_exception(error))
    return path
