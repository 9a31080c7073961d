"""`tunesmith keys`: who may use the service."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.cli.options import AsJson, ServiceHome, StoreUrl, require_serve, service_home
from tunesmith.cli.text import tell
from tunesmith.core.errors import InputError

if TYPE_CHECKING:
    from tunesmith.serve.caller import Scope
    from tunesmith.serve.store.keys import Keys, Listed

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def create(
    project: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Whose files, jobs and models it opens; made where there is none of this name.",
        ),
    ] = "default",
    name: Annotated[str, typer.Option(metavar="LABEL", help="To tell keys apart by.")] = "",
    scopes: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Of read,write,chat,train,admin; else read,write,chat,train."
        ),
    ] = None,
    priority: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=-100,
            max=100,
            help="Of the jobs made with it: those with a higher one go first.",
        ),
    ] = 0,
    expires: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="In 12h, 30d or 8w, or at a date: 2030-12-31."),
    ] = None,
    home: ServiceHome = None,
    database: StoreUrl = None,
) -> None:
    """Make a key and print it, this once: the service keeps only its hash."""
    end = None if expires is None else _moment(expires, time.time())
    with _keys(home, database, make=True) as keys:
        key, row = keys.create(
            _named("--project", project, 128),
            name=_named("--name", name, 128) if name else "",
            scopes=_scopes(scopes),
            priority=priority,
            expires_at=end,
        )
    until = f" until {_day(row.expires_at)}" if row.expires_at else ""
    said = f"{row.id} of project {project} ({row.project_id}): {', '.join(row.scopes)}{until}."
    tell(f"{said} The key is shown this once:", err=True)
    typer.echo(key)


def list_(
    project: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of this project alone.")
    ] = None,
    home: ServiceHome = None,
    database: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Print what is known of each key: its id, first letters, project, scopes, priority and end."""
    with _keys(home, database) as keys:
        listed = keys.all(project)
    records = [_record(one) for one in listed]
    if as_json:
        typer.echo(json.dumps(records, indent=2, ensure_ascii=False))
        return
    if not records:
        tell("There is no key. `tunesmith keys create` makes one.", err=True)
    for record in records:
        label = f"  {record['name']}" if record["name"] else ""
        scopes = ",".join(record["scopes"])
        priority = f"priority {record['priority']}  " if record["priority"] else ""
        typer.echo(
            f"{record['id']}  {record['shown']}…  {record['project']}  {scopes}  "
            f"{priority}{record['state']}{label}"
        )


def revoke(
    id: Annotated[str, typer.Argument(metavar="KEY_ID", help="As `tunesmith keys list` has it.")],
    home: ServiceHome = None,
    database: StoreUrl = None,
) -> None:
    """End a key. A running server refuses it within a second; what it made stays."""
    with _keys(home, database) as keys:
        row = keys.revoke(id)
    if row is None:
        raise InputError(f"There is no key {id}. `tunesmith keys list` prints all of them.")
    tell(f"{row.id} ({row.shown}…) is revoked.")


keys = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Who may use the service.")
keys.command("create")(create)
keys.command("list")(list_)
keys.command("revoke")(revoke)


@contextmanager
def _keys(home: ServiceHome, database: str | None, *, make: bool = False) -> Iterator[Keys]:
    require_serve("tunesmith keys")
    from tunesmith.serve.configure import configured
    from tunesmith.serve.home import existing, opened
    from tunesmith.serve.store.keys import Keys

    asked = {} if database is None else {"database": database}
    settings = configured(service_home(home), asked)
    with opened(settings) if make else existing(settings) as store:
        yield Keys(store)


def _named(option: str, text: str, longest: int) -> str:
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise InputError(f"{option} must be 1 to {longest} printable characters, with a letter.")
    return text


def _scopes(text: str | None) -> list[Scope]:
    from tunesmith.serve.caller import SCOPES

    if text is None:
        return [scope for scope in SCOPES if scope != "admin"]
    asked = [part.strip() for part in text.split(",")]
    for part in asked:
        if part not in SCOPES:
            raise InputError(f"There is no scope {part!r}. There are {', '.join(SCOPES)}.")
    return [scope for scope in SCOPES if scope in asked]


def _moment(text: str, now: float) -> int:
    """The second that `30d`, `12h` or `2030-12-31` means; a date ends with its last second, UTC."""
    if match := re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", text):
        return int(now) + int(match[1]) * _UNITS[match[2]]
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc)
    except ValueError:
        raise InputError(
            f"--expires {text} is no time. Give 12h, 30d, 8w, or a date such as 2030-12-31."
        ) from None
    end = int(day.timestamp()) + _UNITS["d"]
    if end <= now:
        raise InputError(f"--expires {text} is over already. Give a day to come.")
    return end


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _state(one: Listed) -> str:
    key = one.key
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "holds"
    return f"{'expired' if key.expires_at <= time.time() else 'holds until'} {_day(key.expires_at)}"


def _record(one: Listed) -> dict[str, Any]:
    key = one.key
    return {
        "id": key.id,
        "shown": key.shown,
        "project": one.project,
        "project_id": key.project_id,
        "name": key.name,
        "scopes": key.scopes,
        "priority": key.priority,
        "state": _state(one),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
