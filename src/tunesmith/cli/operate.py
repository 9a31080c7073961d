"""`tunesmith backup`, `tunesmith restore` and `tunesmith audit`: the operator's commands."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunesmith.cli.options import AsJson, ServiceHome, StoreUrl, require_serve, service_home
from tunesmith.cli.text import tell

if TYPE_CHECKING:
    from tunesmith.serve.settings import Settings
    from tunesmith.serve.store.tables import AuditRow


def backup(
    out: Annotated[Path, typer.Option(metavar="FILE", help="A new file; none is written over.")],
    home: ServiceHome = None,
    database: StoreUrl = None,
) -> None:
    """Save the whole state of a service, also while it runs: tables, files, jobs, models, settings.

    Whoever has the file has everything, the hashes of keys and the secrets of webhooks included.
    """
    settings = _settings("tunesmith backup", home, database)
    from tunesmith.serve.backup import backup as save
    from tunesmith.serve.home import existing

    with existing(settings) as store:
        made = save(store, settings, out)
    tell(f"{out}: {made.files} files, {made.bytes / 1e6:.1f} MB.")
    for name in made.missing:
        tell(f"warning: {name} is referred to and was not in the home before.", err=True)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `tunesmith backup` wrote.")],
    home: ServiceHome = None,
    database: StoreUrl = None,
) -> None:
    """Put a saved service into an empty home, each file checked against its hash; or nothing."""
    settings = _settings("tunesmith restore", home, database)
    from tunesmith.serve.backup import restore as put_back

    made = put_back(file, settings)
    tell(f"{settings.home}: {made.files} files, {made.bytes / 1e6:.1f} MB, as they were saved.")


def audit(
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="So many, the latest.")] = 100,
    home: ServiceHome = None,
    database: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Print who changed what, the latest last; status 0: begun, and never answered."""
    settings = _settings("tunesmith audit", home, database)
    from tunesmith.serve.home import existing
    from tunesmith.serve.observe.audit import Audit

    with existing(settings) as store:
        acts = [_act(row) for row in reversed(Audit(store).page(limit).rows)]
    if as_json:
        typer.echo(json.dumps(acts, indent=2))
        return
    for act in acts:
        named = act["object"] or ""
        typer.echo(
            f"{act['time']}  {act['project']}  {act['key']}  {act['status']:>3}  {act['act']}  "
            f"{named}".rstrip()
        )


def _settings(command: str, home: Path | None, database: str | None) -> Settings:
    require_serve(command)
    from tunesmith.serve.configure import configured

    return configured(service_home(home), {} if database is None else {"database": database})


def _act(row: AuditRow) -> dict[str, Any]:
    moment = datetime.fromtimestamp(row.created_at, timezone.utc)
    return {
        "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "project": row.project_id,
        "key": row.key_id,
        "act": row.act,
        "object": row.object_id,
        "status": row.status,
        "request": row.request_id,
    }
