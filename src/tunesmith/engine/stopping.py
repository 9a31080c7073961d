"""Leaving cleanly: Ctrl-C and SIGTERM ask the loop to save and stop; early stopping ends it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Set by a signal while the loop runs, and read by it between optimiser steps."""

    def __init__(self) -> None:
        self.signal: str | None = None
        self._polite = False

    def __bool__(self) -> bool:
        return self.signal is not None

    @contextmanager
    def between_steps(self) -> Iterator[None]:
        """While open, the first signal waits for the end of the step instead of interrupting."""
        self._polite = True
        try:
            yield
        finally:
            self._polite = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler: ask politely once where that is wanted, else interrupt."""
        if not self._polite or self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number).name


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """While open, SIGINT and SIGTERM raise KeyboardInterrupt, or set the request (see there).

    Outside the main thread Python allows no signal handlers: the request is then never set.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, request.handle) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
