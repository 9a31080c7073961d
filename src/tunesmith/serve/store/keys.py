"""Keys and the projects they belong to. Of a key only the SHA-256 is kept."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from tunesmith.serve.caller import SCOPES, Scope
from tunesmith.serve.ids import new_id
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import KeyRow, ProjectRow

_FORM = re.compile(r"ts-[A-Za-z0-9_-]{43}")
_SHOWN = 9  # letters, of which six are random: enough to tell keys apart, of no use to guess one


@dataclass(frozen=True, slots=True)
class Listed:
    """A key beside the name of its project."""

    key: KeyRow
    project: str


def new_key() -> str:
    """A fresh key: 256 bits from the system's own source."""
    return "ts-" + secrets.token_urlsafe(32)


def digest_of(key: str) -> str | None:
    """What is kept of a key; None of a text that no key can be.

    A plain hash is enough: nobody can try 2^256 keys, so there is nothing to slow down. Keys are
    looked up by it alone, so the time that takes tells nothing of how near a guess came.
    """
    if not _FORM.fullmatch(key):
        return None
    return hashlib.sha256(key.encode("ascii")).hexdigest()


class Keys:
    """The keys of the service."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def create(
        self,
        project: str,
        *,
        name: str = "",
        scopes: Iterable[Scope] = SCOPES,
        priority: int = 0,
        expires_at: int | None = None,
    ) -> tuple[str, KeyRow]:
        """A new key for the project of this name, which is made where there is none.

        Returns the key itself, which is nowhere kept, and its row.
        """
        key = new_key()
        now = int(self._clock())
        with self._database.write() as session:
            row = KeyRow(
                id=new_id("key_"),
                project_id=_project(session, project, now).id,
                name=name,
                sha256=digest_of(key),
                shown=key[:_SHOWN],
                scopes=[scope for scope in SCOPES if scope in set(scopes)],
                priority=priority,
                created_at=now,
                expires_at=expires_at,
            )
            session.add(row)
        return key, row

    def all(self, project: str | None = None) -> tuple[Listed, ...]:
        """Every key there ever was, oldest first; of one project, where its name is given."""
        wanted = select(KeyRow, ProjectRow.name).join(ProjectRow).order_by(KeyRow.seq)
        if project is not None:
            wanted = wanted.where(ProjectRow.name == project)
        with self._database.read() as session:
            return tuple(Listed(key, name) for key, name in session.execute(wanted))

    def revoke(self, id: str) -> KeyRow | None:
        """The key of this id holds no longer; None where there is none. May be done twice."""
        with self._database.write() as session:
            row = session.scalar(select(KeyRow).where(KeyRow.id == id))
            if row is not None and row.revoked_at is None:
                row.revoked_at = int(self._clock())
        return row

    def holding(self, digest: str) -> KeyRow | None:
        """The key with this hash, if it holds now: known, not revoked, not expired."""
        with self._database.read() as session:
            row = session.scalar(select(KeyRow).where(KeyRow.sha256 == digest))
        if row is None or row.revoked_at is not None:
            return None
        return None if row.expires_at is not None and row.expires_at <= self._clock() else row


def _project(session: Session, name: str, now: int) -> ProjectRow:
    row = session.scalar(select(ProjectRow).where(ProjectRow.name == name))
    if row is None:
        row = ProjectRow(id=new_id("proj_"), name=name, created_at=now)
        session.add(row)
        session.flush()
    return row
