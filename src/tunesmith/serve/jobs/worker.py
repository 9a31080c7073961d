"""A process that works on jobs, one after the other, until it is told to end.

    python -m tunesmith.serve.jobs.worker < settings.json

The first line of its standard input is the `Settings` as JSON: what is secret in them stands in no
list of processes. The input then stays open for as long as who started the worker lives; when it
ends, as on SIGTERM and SIGINT, the worker saves where it is, gives its job back and ends.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Collection
from typing import cast

from tunesmith.serve.errors import ApiError
from tunesmith.serve.jobs.attempt import Work, attempt
from tunesmith.serve.jobs.lease import Lease
from tunesmith.serve.jobs.queue import STAGES, Queue
from tunesmith.serve.jobs.states import Status
from tunesmith.serve.observe.logs import logging_to
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database

WORK = "tunesmith.serve.jobs.execute"
IDLE = 0.5
"""Seconds between two looks for a job."""
LOST = 70
"""How a process ends that did not give way when it had lost its job."""

_log = logging.getLogger(__name__)


def new_owner() -> str:
    """A name for a worker: no other ever has it, and the operator finds the process by it."""
    return f"{socket.gethostname()[:64]}:{os.getpid()}:{secrets.token_hex(4)}"


class Worker:
    """Takes jobs up until `stopping` is set."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        work: Work,
        owner: str,
        stages: Collection[Status] = STAGES,
        stopping: threading.Event | None = None,
    ) -> None:
        self.stopping = stopping or threading.Event()
        self._queue = Queue(database, settings)
        self._settings = settings
        self._work = work
        self._owner = owner
        self._stages = stages

    def run(self) -> None:
        """One job after the other."""
        while not self.stopping.is_set():
            lease = self._claim()
            if lease is None:
                self.stopping.wait(IDLE)
            else:
                self._attempt(lease)

    def _claim(self) -> Lease | None:
        try:
            return self._queue.claim(self._owner, self._stages)
        except ApiError as refused:  # the store is locked or full: it is asked again
            _log.warning("no job could be claimed: %s", refused.message)
            return None

    def _attempt(self, lease: Lease) -> None:
        """Nothing that goes wrong ends the worker: the lease of what is left runs out."""
        try:
            attempt(lease, self._work, self._settings, self.stopping, lambda: os._exit(LOST))
        except Exception:
            _log.exception("the attempt at %s could not be concluded", lease.claimed.job.id)
            self.stopping.wait(IDLE)


def main() -> None:
    """The process."""
    parser = argparse.ArgumentParser(description="Work on the jobs of a service.")
    parser.add_argument("--name", default=None, help="its name; no other worker may have it")
    parser.add_argument(
        "--validates-only", action="store_true", help="looks at files, never trains"
    )
    parser.add_argument("--work", default=WORK, help="the module that carries jobs out")
    given = parser.parse_args()
    settings = Settings.model_validate_json(_first_line())
    worker = Worker(
        Database(settings.database_url),
        settings,
        cast(Work, importlib.import_module(given.work)),
        given.name or new_owner(),
        ("validating_files",) if given.validates_only else STAGES,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stopping.set())
    threading.Thread(target=_until_alone, args=(worker.stopping,), daemon=True).start()
    # In a thread of its own: so training leaves the signals to this one, which asks it to end.
    working = threading.Thread(target=worker.run, name="worker")
    working.start()
    working.join()


def _first_line() -> bytes:
    """Of the input, unbuffered: what waits for its end must find nothing held back."""
    with open(0, "rb", buffering=0, closefd=False) as source:
        return source.readline()


def _until_alone(stopping: threading.Event) -> None:
    """Wait for the end of the input, which the system closes when its writer is gone."""
    while os.read(0, 1024):
        pass
    stopping.set()


if __name__ == "__main__":
    with logging_to():
        main()
