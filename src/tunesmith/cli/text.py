"""Sentences on a screen: wrapped between words on a terminal, whole lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import Any

import typer


def tell(text: str, *, err: bool = False, hang: int = 0, **style: Any) -> None:
    """Print `text`; on a terminal wrapped, with `hang` spaces before each line but the first.

    `style` as in `typer.style`.
    """
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        text = wrapped(text, shutil.get_terminal_size().columns, hanging=" " * hang)
    typer.secho(text, err=err, **style)


def wrapped(text: str, width: int, first: str = "", hanging: str = "") -> str:
    """Each line of `text` broken between words; a path or `file:line` is never broken."""
    return "\n".join(
        textwrap.fill(
            line,
            width=max(width, 40),
            initial_indent=first,
            subsequent_indent=hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.splitlines()
    )


def sentence(clause: str) -> str:
    """A clause with a capital and a full stop."""
    return f"{clause[:1].upper()}{clause[1:].rstrip('.')}."


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3:07 min`, `2:05 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes}:{int(seconds % 60):02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"
