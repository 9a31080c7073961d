"""Signals: the first waits for the end of a step, the second does not."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from tunesmith.engine.stopping import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_between_steps_the_first_asks_and_the_second_interrupts(number: int) -> None:
    with stop_on_signals() as stop, stop.between_steps():
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
        assert stop.signal == signal.Signals(number).name
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_elsewhere_the_first_interrupts(number: int) -> None:
    with stop_on_signals() as stop:
        with stop.between_steps():
            pass
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert not stop


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_may_run_without_handlers() -> None:
    seen = []

    def work() -> None:
        with stop_on_signals() as stop, stop.between_steps():
            seen.append(bool(stop))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
