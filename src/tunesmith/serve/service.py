"""All that routes are given, in one record."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running service. Each is shared by threads."""

    settings: Settings
    database: Database
