"""What people say of answers, a store a project, and the rows that can be learned from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError, StorageError
from tunesmith.runs.feedback_lines import Form, Learned, add_lines, lines_of, rows_learned
from tunesmith.serve.disk import require_room
from tunesmith.serve.errors import bad_request, too_large, unavailable
from tunesmith.serve.own.projects import folder_of
from tunesmith.serve.settings import Settings

LARGEST = 256 << 20
"""Bytes of a store, all of which is read where rows are made of it."""


class FeedbackBook:
    """The judgements of all projects; each act sees those of one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def add(self, project: str, lines: Sequence[Mapping[str, Any]]) -> int:
        """Keep judgements, all or none; how many were new. Raises ApiError 400, 413, 503."""
        require_room(self._settings)
        store = self._store(project)
        if store.exists() and store.stat().st_size > LARGEST:
            raise too_large(
                f"The feedback of this project has more than {LARGEST >> 20} MB, and nothing is "
                "added to it. Ask the operator to put it elsewhere."
            )
        store.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            return add_lines(store, lines)
        except DataError as error:
            raise bad_request(str(error), param="judgements") from None
        except StorageError:
            raise unavailable("The store cannot be written; nothing was kept.", 5) from None

    def lines(self, project: str) -> list[dict[str, Any]]:
        """All of them, in the order in which they came."""
        return lines_of(self._store(project))

    def learned(self, project: str, form: Form, *, agreed: bool, persons: bool) -> Learned:
        """Rows of one form; `agreed` leaves out what somebody judged otherwise, and `persons` names
        who judged."""
        return rows_learned(self._store(project), form, undisputed=agreed, persons=persons)

    def _store(self, project: str) -> Path:
        return folder_of(self._settings, project) / "feedback.sqlite"
