"""A function applied to many things by several processes, the results in order.

The processes are new ones, never forks: a fork of a process whose threads hold locks (PyTorch's do)
may hang. They are not `multiprocessing`'s either, whose new processes run the user's own script
again. Each reads what it is to do from its standard input and ends when that is closed, so none
outlives this process, however that ends; the keyboard's interrupt reaches this process only.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Any, BinaryIO, Generic, TypeVar

from tunesmith.core.errors import TunesmithError

Item = TypeVar("Item")
Result = TypeVar("Result")

_START = "import sys; sys.path[:] = {path!r}; from tunesmith.data.workers import serve; serve()"
_AHEAD = 2
"""Items held for each process: the one it works at, and one that waits."""

_WORTH = 2 << 20
"""Bytes of data for which a further process is started: that takes as long as working at them."""

_MOST_PROCESSES = 8
"""Each holds about 100 MB, so that all of a run stays below 1.5 GB before the model is opened."""


class Workers(Generic[Item, Result]):
    """`count` processes that apply `task`; a context, at whose end they are gone.

    Items, results and the task travel as pickles, between processes of this program only.
    """

    def __init__(self, task: Callable[[Item], Result], count: int) -> None:
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads = ThreadPoolExecutor(count, "tunesmith-worker")
        self._window = count * _AHEAD
        order = pickle.dumps(task)
        for _ in range(count):
            process = _start()
            self._processes.append(process)
            _pipe(process.stdin).write(order)
            self._idle.put(process)

    def __enter__(self) -> Workers[Item, Result]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):
                    _pipe(pipe).close()

    def map(self, items: Iterable[Item]) -> Iterator[Result]:
        """The result of each item, in order; only a few items are held at a time.

        Raises:
            TunesmithError: a process ended before its work did. What the task raises is raised.
        """
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(self._threads.submit(self._apply, item))
            if len(waiting) > self._window:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _apply(self, item: Item) -> Result:
        process = self._idle.get()
        try:
            pickle.dump(item, _pipe(process.stdin), pickle.HIGHEST_PROTOCOL)
            _pipe(process.stdin).flush()
            done, value = pickle.load(_pipe(process.stdout))
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            raise TunesmithError(_ended(process)) from None
        finally:
            self._idle.put(process)
        if not done:
            raise value
        return value


@contextmanager
def applied(
    task: Callable[[Item], Result], size: int
) -> Iterator[Callable[[Iterable[Item]], Iterator[Result]]]:
    """What applies the task to things of `size` bytes in all, in order: in this process, or by one
    for each core that may be used."""
    count = min(_cores(), size // _WORTH, _MOST_PROCESSES)
    if count <= 1:
        yield partial(map, task)
        return
    with Workers(task, count) as workers:
        yield workers.map


def _cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def serve() -> None:
    """The life of a worker process: the task first, then items until there are no more."""
    source = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    try:
        task = pickle.load(source)
        while True:
            item = pickle.load(source)
            try:
                answer = True, task(item)
            except Exception as error:
                answer = False, error
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
    except (EOFError, BrokenPipeError):
        os._exit(0)


def _start() -> subprocess.Popen[bytes]:
    one_thread = {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "0"}
    return subprocess.Popen(
        [sys.executable, "-c", _START.format(path=sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | one_thread | {"TRANSFORMERS_VERBOSITY": "error"},
        start_new_session=True,
    )


def _pipe(pipe: Any) -> BinaryIO:
    assert pipe is not None
    return pipe


def _ended(process: subprocess.Popen[bytes]) -> str:
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    return (
        f"A process that reads the data ended before its work was done (status "
        f"{process.returncode}; -9 means that it was killed, mostly for want of memory). Nothing "
        "was written. Free some memory and start again; taskset -c 0 makes do with one process."
    )
