"""`tunesmith doctor`."""

from __future__ import annotations

import json

import typer

from tunesmith.cli.options import AsJson
from tunesmith.cli.text import tell

_MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("–", None)}


def doctor(as_json: AsJson = False) -> None:
    """Say what this machine can do.

    Measures it, and proves the installation by a complete tiny run. Exits with 1 if something does
    not work.
    """
    from tunesmith.cli.console import progress

    with progress(plain=as_json) as watcher:
        watcher.stage("start", "bring PyTorch")
        from tunesmith.runs.doctor import doctor as examine

        checks = examine(watcher)
    healthy = all(check.ok is not False for check in checks)
    if as_json:
        answer = {"ok": healthy, "checks": [check._asdict() for check in checks]}
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        typer.echo()
        for check in checks:
            mark, colour = _MARKS[check.ok]
            tell(f"{typer.style(mark, fg=colour)} {check.name:<13} {check.sentence}", hang=16)
    if not healthy:
        raise typer.Exit(1)
