"""Whether the service can do its work."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import text

from tunesmith.serve.disk import has_room
from tunesmith.serve.errors import ApiError, unavailable
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database

Check = Callable[[], bool]


class Health:
    """What has to be well. Those who start a part add how it is seen."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._checks: dict[str, Check] = {
            "the store": lambda: _can_read(database),
            "the disk": lambda: has_room(settings),
        }

    def watch(self, part: str, is_well: Check) -> None:
        """Count this part, too."""
        self._checks[part] = is_well

    def require(self) -> None:
        """Raises ApiError 503 where a part is not well, and names it."""
        unwell = [part for part, is_well in self._checks.items() if not is_well()]
        if unwell:
            raise unavailable(f"Not ready because of {' and '.join(unwell)}.", 5)


def _can_read(database: Database) -> bool:
    try:
        with database.read() as session:
            session.execute(text("SELECT 1"))
    except ApiError:
        return False
    return True
