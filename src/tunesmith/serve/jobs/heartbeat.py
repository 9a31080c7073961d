"""The thread that says, while the work is under way, that its worker lives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from tunesmith.serve.errors import ApiError
from tunesmith.serve.jobs.lease import Lease
from tunesmith.serve.jobs.work import LeaseLost, Wanted

SLOWEST = 1.0
"""Seconds between two beats at most: so soon does a job hear that it is paused or cancelled."""


class Heartbeat:
    """While open, extends the lease, and hears what the job's owner wants.

    A store that does not answer is asked again at the next beat: as long as nobody else took the
    job up, it is still ours. When somebody did, the work has to end; if it has not done so in the
    time of one more lease, `end` is called, which ends the process.
    """

    def __init__(self, lease: Lease, seconds: float, end: Callable[[], None]) -> None:
        self._lease = lease
        self._seconds = seconds
        self._end = end
        self._over = threading.Event()
        self._wanted: Wanted | None = None
        self._lost: LeaseLost | None = None
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def wanted(self) -> Wanted | None:
        """What was asked of the job. Raises LeaseLost."""
        if self._lost is not None:
            raise self._lost
        return self._wanted

    def _run(self) -> None:
        while not self._over.wait(min(SLOWEST, self._seconds / 4)):
            try:
                self._wanted = self._lease.beat()
            except ApiError:
                continue
            except LeaseLost as lost:
                self._lost = lost
                break
        if self._lost is not None and not self._over.wait(self._seconds):
            self._end()
