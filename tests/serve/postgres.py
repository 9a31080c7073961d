"""A throw-away PostgreSQL server, of the newest version that is installed on this machine."""

from __future__ import annotations

import itertools
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
_QUICK = (
    "fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200",
    "listen_addresses=",
)  # fmt: skip


def programs() -> Path | None:
    """The folder of the newest server's programs, or None where there is none."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    for place in _PLACES:
        found += [path for path in Path("/").glob(place[1:]) if (path / "initdb").exists()]
    return max(found, key=_version, default=None)


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", str(folder)))


class Postgres:
    """A running server: it listens on a socket in its own folder and trusts whoever reaches it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()

    def url(self, name: str) -> str:
        """Of a database of it."""
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def fresh(self, like: str = "template1") -> str:
        """The URL of a new database, a copy of another."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {like}")
        return self.url(name)

    def execute(self, statement: str) -> None:
        """Outside any transaction."""
        engine = create_engine(self.url("postgres").replace(":", "+psycopg:", 1))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(statement))
        engine.dispose()


@contextmanager
def running(programs: Path) -> Iterator[Postgres]:
    """A new server until the end of the block; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path has to be short
    person = _person()
    if person:
        shutil.chown(folder, person["user"], person["group"])
    data = folder / "data"
    make = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run([*make, "--no-sync", "--no-instructions"], check=True, cwd=folder,
                   stdout=subprocess.DEVNULL, **person)  # fmt: skip
    settings = [word for setting in _QUICK for word in ("-c", setting)]
    serve = [programs / "postgres", "-D", data, "-k", folder, *settings]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(serve, cwd=folder, stdout=log, stderr=log, **person)
    try:
        server = Postgres(folder)
        _wait(server, process)
        yield server
    finally:
        process.send_signal(signal.SIGINT)  # ends sessions and stops
        process.wait(30)
        shutil.rmtree(folder)


def _person() -> dict[str, Any]:
    """Who runs the server: it refuses to be run by root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _wait(server: Postgres, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            return server.execute("SELECT 1")
        except OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((server.folder / "log").read_text()) from None
            time.sleep(0.05)
