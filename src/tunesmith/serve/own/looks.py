"""Data looked at before a job, and what the run folder of a job says of it, in a client's words."""

from __future__ import annotations

import html
import json
import tempfile
import threading
from pathlib import Path
from typing import Any, Literal

from tunesmith.core.errors import DataError
from tunesmith.runs.check import check_data
from tunesmith.runs.count_rows import count_rows
from tunesmith.serve.blobs import Blobs
from tunesmith.serve.errors import ApiError, bad_request, conflict, too_large, unavailable
from tunesmith.serve.jobs.inputs import files_of, in_their_words, link, storable
from tunesmith.serve.jobs.work import Claimed, ClientFile
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import FileRow, JobRow

LARGEST = 64 << 20
"""Bytes of a file that is looked at while the client waits. A job looks at any."""

PLACES = 20
"""Rows that are named of each finding."""

Part = Literal["ledger", "plan", "verdict"]


class Looks:
    """The acts of looking; nothing of them is kept. One file is looked at, at a time."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._blobs = Blobs(settings)
        self._looking = threading.Lock()

    def check(self, row: FileRow) -> dict[str, Any]:
        """What is wrong with a file of rows, and how many it has.

        Raises ApiError: 400 where it is no such file, 413, and 503 where another is looked at.
        """
        if row.bytes > LARGEST:
            raise too_large(
                f"{row.id} has {row.bytes:,} bytes, and {LARGEST:,} are the most that are looked "
                "at here. A job looks at its files whatever their size."
            )
        if not self._looking.acquire(blocking=False):
            raise unavailable("Another file is being looked at. Try again.", 2)
        try:
            return _looked_at(row, self._blobs.path(row.blob))
        finally:
            self._looking.release()

    def part(self, job: JobRow, part: Part) -> dict[str, Any]:
        """The ledger, the plan or the verdict. Raises ApiError 409 while there is none."""
        text = self._read(job, f"{part}.json", part)
        told: dict[str, Any] = _told(json.loads(text), self._claimed(job))
        return told

    def report(self, job: JobRow) -> str:
        """The page, which loads nothing. Raises ApiError 409 while there is none."""
        text = self._read(job, "report.html", "report")
        claimed = self._claimed(job)
        files = {
            id: ClientFile(html.escape(file.filename), file.path)
            for id, file in claimed.files.items()
        }
        return in_their_words(text, Claimed(claimed.job, claimed.folder, files))

    def _read(self, job: JobRow, name: str, part: str) -> str:
        try:
            return (self._settings.jobs / job.id / "run" / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise _not_yet(job, part) from None

    def _claimed(self, job: JobRow) -> Claimed:
        with self._database.read() as session:
            files = files_of(session, self._settings, job)
        return Claimed(job, self._settings.jobs / job.id, files)


def _not_yet(job: JobRow, part: str) -> ApiError:
    return conflict(
        f"The job {job.id} has no {part}; its status is {job.status}. Ledger and plan are there "
        "once training has begun, verdict and report when it has succeeded.",
        code="not_there_yet",
    )


def _told(value: Any, claimed: Claimed) -> Any:
    """JSON whose texts name files as the client does."""
    if isinstance(value, str):
        return in_their_words(value, claimed)
    if isinstance(value, list):
        return [_told(each, claimed) for each in value]
    if isinstance(value, dict):
        return {_told(key, claimed): _told(each, claimed) for key, each in value.items()}
    return value


def _looked_at(row: FileRow, blob: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tunesmith-") as folder:
        place = Path(folder) / "rows.jsonl"
        link(blob, place)

        def told(message: str) -> str:
            named = message.replace(f"{place}:", f"{row.filename}, line ")
            return storable(named.replace(str(place), row.filename))

        try:
            count_rows(str(place))
            report = check_data([str(place)])
        except DataError as error:
            raise bad_request(told(str(error)), param="file_id", code="invalid_file") from None
    return {
        "file_id": row.id,
        "rows": sum(report.rows),
        "unusable": report.unusable,
        "stops": report.stops,
        "findings": [
            {
                "reason": each.reason,
                "grade": each.check.grade,
                "rows": len(each.rows),
                "message": told(f"{each.counted}."),
                "advice": each.check.advice,
                "places": [
                    {"line": at.origin.line, "message": told(at.says)}
                    for at in each.places[:PLACES]
                ],
            }
            for each in report.found
        ],
    }
