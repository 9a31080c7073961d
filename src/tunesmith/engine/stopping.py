"""Leaving cleanly: Ctrl-C, SIGTERM or a caller ask the loop to save and stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Set by a signal while the loop runs, or by a caller; read between optimiser steps."""

    def __init__(self, asked: Callable[[], bool] | None = None) -> None:
        """`asked` says whether a caller wants the end; once it did, it is not asked again."""
        self.signal: str | None = None
        self._asked = asked
        self._polite = False

    def __bool__(self) -> bool:
        if self.signal is None and self._asked is not None and self._asked():
            self.signal = "request"
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
def stop_on_signals(asked: Callable[[], bool] | None = None) -> Iterator[StopRequest]:
    """While open, SIGINT and SIGTERM raise KeyboardInterrupt, or set the request (see there).

    Outside the main thread Python allows no signal handlers: only `asked` sets the request then.
    """
    request = StopRequest(asked)
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
