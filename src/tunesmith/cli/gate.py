"""`tunesmith promote`, `rollback` and `models`: named models, and the gate before them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from tunesmith.cli.options import AsJson, Home, RunPath, home_of
from tunesmith.cli.text import tell

if TYPE_CHECKING:
    from tunesmith.runs.registry import Named, Version

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="What the model is called.", show_default=False)
]
Because = Annotated[str | None, typer.Option(metavar="TEXT", help="Why; it stands in the history.")]
_INDENT = 10


def promote(
    run: RunPath,
    name: Name,
    because: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Why; it stands in the history, and lets a run pass whose verdict says hold.",
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Make a run the current version of a named model, if its verdict says ship.

    A run whose verdict says hold is refused with exit code 3. The run folder stays where it is;
    the hashes of its weights are recorded, and checked before they are used.
    """
    from tunesmith.runs.promote import promote as promote_run

    named = promote_run(run, name, home_of(home), because)
    _tell_current(named)


def rollback(name: Name, because: Because = None, home: Home = None) -> None:
    """Make the version current again that was current before the last promotion."""
    from tunesmith.runs.promote import rollback as roll_back

    _tell_current(roll_back(name, home_of(home), because))


def models(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="Show its versions and history, and check its weights."
        ),
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List the named models, each with its current version."""
    from tunesmith.runs.promote import state_of
    from tunesmith.runs.registry import Registry

    folder = home_of(home)
    registry = Registry(folder)
    found = [registry.require(each) for each in (registry.names() if name is None else [name])]
    if as_json:
        typer.echo(json.dumps([each.to_json() for each in found], indent=2, ensure_ascii=False))
    elif name is not None:
        _tell_history(found[0], {each.version: state_of(each) for each in found[0].versions})
    elif not found:
        tell(f"No model has a name in {folder} yet: tunesmith promote RUN NAME gives it one.")
    else:
        for each in found:
            tell(f"{each.name:<{_INDENT}}{_said(each.now)}", hang=_INDENT)


def _tell_current(named: Named) -> None:
    tell(f"{named.name} is version {named.current} now: {_said(named.now)}")


def _said(version: Version) -> str:
    why = f", because: {version.because}" if version.because else ""
    return f"{version.run} ({version.decision}{why}), promoted {version.time}"


def _tell_history(named: Named, states: dict[int, str | None]) -> None:
    for version in named.versions:
        mark = "* " if version.version == named.current else "  "
        tell(f"{mark}version {version.version}  {_said(version)}", hang=_INDENT)
        tell(f"{'':{_INDENT}}{version.sentence}", hang=_INDENT)
        if wrong := states[version.version]:
            tell(f"{'':{_INDENT}}{version.artefact} {wrong}.", hang=_INDENT, fg="red")
    typer.echo()
    for event in named.history:
        why = f": {event.because}" if event.because else ""
        tell(f"{event.time}  {event.act} to version {event.version}{why}", hang=_INDENT)
