"""Workers of a server: started with it, started again when they die, ended with it.

Beside those that train there is one that only validates files, so that a fault in a file is told
within seconds, however long the trainings take.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time

from tunesmith.serve.errors import ApiError
from tunesmith.serve.jobs.queue import Queue
from tunesmith.serve.jobs.worker import WORK, new_owner
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database

LOOK = 0.2
"""Seconds between two looks at the workers."""
STEADY = 5.0
"""A worker that dies after so many seconds is started again at once; one that dies sooner after a
pause that doubles, up to LONGEST_PAUSE."""
LONGEST_PAUSE = 30.0
PATIENCE = 20.0
"""Seconds that workers have to save where they are, when the server ends."""

_log = logging.getLogger(__name__)


class Supervisor:
    """Keeps `settings.workers` workers and one that validates running, by a thread of the server.

    `work` names the module that carries jobs out.
    """

    def __init__(self, database: Database, settings: Settings, work: str = WORK) -> None:
        queue = Queue(database, settings)
        options: list[list[str]] = [[] for _ in range(settings.workers)]
        if settings.workers:
            options.append(["--validates-only"])
        self._places = [_Place(queue, settings, ["--work", work, *more]) for more in options]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the workers, and return."""
        self._thread.start()

    def pids(self) -> list[int]:
        """The processes that are running."""
        running = (place.process for place in self._places)
        return [process.pid for process in running if process and process.poll() is None]

    def stop(self, patience: float = PATIENCE) -> None:
        """End all workers: politely, then, after `patience` seconds, at once."""
        self._stopping.set()
        self._thread.join()
        deadline = time.monotonic() + patience
        for place in self._places:
            place.ask_to_end()
        for place in self._places:
            place.end(deadline)

    def _run(self) -> None:
        while not self._stopping.is_set():
            for place in self._places:
                place.look()
            self._stopping.wait(LOOK)


class _Place:
    """A place for one worker, the process that fills it now, and when it is to be filled next."""

    def __init__(self, queue: Queue, settings: Settings, options: list[str]) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._queue = queue
        self._settings = settings
        self._options = options
        self._owner = ""
        self._started = 0.0
        self._due = 0.0
        self._pause = LOOK

    def look(self) -> None:
        """Fill the place if it is empty, and it is time."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            self._fell(self.process, now)
        if self.process is None and now >= self._due:
            self._fill(now)

    def ask_to_end(self) -> None:
        """The worker is to save where it is, give its job back, and end."""
        if self.process is not None:
            self.process.terminate()

    def end(self, deadline: float) -> None:
        """It has ended when this returns."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._clear(self.process)

    def _fill(self, now: float) -> None:
        self._owner = new_owner()
        command = [sys.executable, "-m", "tunesmith.serve.jobs.worker", "--name", self._owner]
        self.process = subprocess.Popen(
            [*command, *self._options], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        self._started = now
        _log.info("worker %s started as process %d", self._owner, self.process.pid)
        assert self.process.stdin is not None  # a pipe; it stays open while this server lives
        try:
            self.process.stdin.write(self._settings.model_dump_json().encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died at once, which the next look sees

    def _fell(self, process: subprocess.Popen[bytes], now: float) -> None:
        _log.warning("worker %s ended with %d", self._owner, process.returncode)
        lived = now - self._started
        self._pause = LOOK if lived >= STEADY else min(LONGEST_PAUSE, 2 * self._pause)
        self._due = now + self._pause
        self._clear(process)

    def _clear(self, process: subprocess.Popen[bytes]) -> None:
        """The process is gone, and with it its right to a job, which others may take up now."""
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
        self.process = None
        try:
            self._queue.lost(self._owner)
        except ApiError as refused:  # then the lease has to run out
            _log.warning("what worker %s held stays so for now: %s", self._owner, refused.message)
