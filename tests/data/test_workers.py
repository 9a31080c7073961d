"""Several processes: results in order, errors as they are, and none that outlives its maker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from operator import mul
from pathlib import Path

import pytest

from tunesmith.core.errors import TunesmithError
from tunesmith.data.workers import Workers


def _alive(process: int) -> bool:
    """Whether a process runs (one that has ended but was not asked for its status does not)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _gone(processes: list[int]) -> bool:
    for _ in range(100):
        if not any(map(_alive, processes)):
            return True
        time.sleep(0.05)
    return False


def test_results_come_in_order_and_few_items_are_ahead() -> None:
    taken: list[int] = []

    def items() -> list[int]:
        for number in range(50):
            taken.append(number)
            yield number

    with Workers(partial(mul, 3), 2) as workers:
        results = workers.map(items())
        assert next(results) == 0
        assert len(taken) <= 6
        assert list(results) == [3 * number for number in range(1, 50)]
        processes = [process.pid for process in workers._processes]
    assert _gone(processes)


def test_an_error_of_the_task_is_raised_at_its_place() -> None:
    with Workers(partial(divmod, 6), 2) as workers:
        results = workers.map([1, 2, 0, 3])
        assert [next(results), next(results)] == [(6, 0), (3, 0)]
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_a_process_that_dies_is_told_of() -> None:
    with Workers(partial(mul, 3), 1) as workers:
        os.kill(workers._processes[0].pid, signal.SIGKILL)
        with pytest.raises(TunesmithError, match=r"ended before its work was done \(status -9"):
            list(workers.map([1, 2]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_its_maker(number: signal.Signals) -> None:
    code = (
        "import signal, time; from functools import partial; from operator import mul\n"
        # A shell starts what stands in its background with this signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tunesmith.data.workers import Workers\n"
        "with Workers(partial(mul, 3), 2) as workers:\n"
        "    next(workers.map([1]))\n"
        "    print(*(process.pid for process in workers._processes), flush=True)\n"
        "    time.sleep(60)\n"
    )
    maker = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert maker.stdout is not None
    processes = [int(each) for each in maker.stdout.readline().split()]
    assert len(processes) == 2
    assert all(map(_alive, processes))
    os.killpg(maker.pid, number)
    _, told = maker.communicate(timeout=20)
    assert _gone(processes)
    assert told.count("Traceback") == (number == signal.SIGINT), "the maker's own, if any"
