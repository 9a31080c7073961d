"""How the work's own words reach the store: each is tried until it is written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from tunesmith.serve.errors import ApiError
from tunesmith.serve.jobs.heartbeat import Heartbeat
from tunesmith.serve.jobs.lease import Lease
from tunesmith.serve.jobs.work import Kind, Wanted

PAUSES = (0.1, 0.5, 1.0, 5.0)
"""Seconds before a store that was locked or full is tried again; the last one from then on."""


class Stopped(Exception):
    """The worker is to end, and the store could not be reached until then."""


class LeasedTell:
    """`work.Tell` over a lease. `stopping` is set when the worker is to end."""

    def __init__(self, lease: Lease, heartbeat: Heartbeat, stopping: threading.Event) -> None:
        self._lease = lease
        self._heartbeat = heartbeat
        self._stopping = stopping

    def event(
        self,
        message: str,
        *,
        level: Literal["info", "warn", "error"] = "info",
        type: Literal["message", "metrics"] = "message",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """See `work.Tell`, as for all of these."""
        self.patiently(lambda: self._lease.event(message, level, type, data))

    def resolved(self, method: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> None:
        self.patiently(lambda: self._lease.resolved(method, hyperparameters))

    def checkpoint(
        self, step: int, metrics: Mapping[str, Any], folder: Path, kind: Kind = "chat"
    ) -> None:
        self.patiently(lambda: self._lease.checkpoint(step, metrics, folder, kind))

    def expect(self, finish: int) -> None:
        self.patiently(lambda: self._lease.expect(finish))

    def wanted(self) -> Wanted | None:
        asked = self._heartbeat.wanted()
        return asked or ("stop" if self._stopping.is_set() else None)

    def patiently(self, act: Callable[[], None]) -> None:
        """Do it, as often as the store refuses. Raises LeaseLost, Stopped."""
        tried = 0
        while True:
            try:
                return act()
            except ApiError as refused:
                if self._stopping.wait(PAUSES[min(tried, len(PAUSES) - 1)]):
                    raise Stopped from refused
                tried += 1
