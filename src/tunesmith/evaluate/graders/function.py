"""The user's own Python function as a grader: `grade(sample, item)`, in a process of its own.

The process lives as long as the grader, so that a function which loads something does so once. It
has a time limit for each answer; one that hangs is ended and begun anew.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tunesmith.core.errors import RecipeError
from tunesmith.core.records import Answered, Grade
from tunesmith.evaluate.graders.names import Ungraded, names_of
from tunesmith.recipe.graders.shapes import GraderJson, value

LOADING = 120.0
"""Seconds that the user's file may take to load: it may open a model."""

HANGS = 3
"""After so many answers in a row that ran out of time the rest of a call is not asked."""

_WORKER = Path(__file__).with_name("function_worker.py")
_SHAPE = "def grade(sample: dict, item: dict) -> float"


class _Hung(Exception):
    """No reply came in time."""


class _Ended(Exception):
    """The process is gone."""


class Function:
    """The user's function, with every way it can fail turned into a finished sentence; a `Grader`.

    It is loaded at once. Raises RecipeError where that fails.
    """

    def __init__(self, grader: GraderJson) -> None:
        self._path, self._name = str(grader["path"]), str(value(grader, "function"))
        self._seconds = float(value(grader, "seconds"))
        self._worker = _Worker(self._path, self._name, self._seconds)

    def grade(self, answers: Sequence[Answered]) -> list[Grade]:
        """See `core.ports.Grader`."""
        return list(self._grades(answers))

    def _grades(self, answers: Sequence[Answered]) -> Iterator[Grade]:
        hung = 0
        for answered in answers:
            if hung == HANGS:
                yield self._failed(answered, f"ran out of time {HANGS} times before this one")
                continue
            try:
                given = names_of(answered)
            except Ungraded as error:
                yield Grade(None, str(error))
                continue
            try:
                reply, hung = self._asked(given), 0
            except _Hung:
                hung += 1
                said = f"did not end within {self._seconds:g} s"
                yield self._failed(answered, said)
                continue
            except _Ended as error:
                yield self._failed(answered, f"ended its process ({error})")
                continue
            if "value" in reply:
                yield Grade(float(reply["value"]))
            else:
                yield Grade(None, _sentence(str(reply["failed"]), answered))

    def _asked(self, given: dict[str, Any]) -> dict[str, Any]:
        if not self._worker.alive:
            self._worker = _Worker(self._path, self._name, self._seconds)
        try:
            return self._worker.ask(given)
        except (_Hung, _Ended):
            self._worker.end()
            raise

    def _failed(self, answered: Answered, what: str) -> Grade:
        return Grade(None, _sentence(f"{self._path} ({self._name}) {what}", answered))


def _sentence(what: str, answered: Answered) -> str:
    return (
        f"The reward function {what} on an answer to {answered.origin}. Make it return a finite "
        "number for every answer, also an empty one."
    )


class _Worker:
    """One process with the user's function in it."""

    def __init__(self, path: str, name: str, seconds: float) -> None:
        self._seconds = seconds
        read, write = os.pipe()
        source = _WORKER.read_text(encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-c", source, path, name, str(seconds), str(write)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(write,),
            start_new_session=True,
            text=True,
            encoding="utf-8",
        )
        os.close(write)
        os.set_blocking(read, False)
        self._heard, self._rest = read, b""
        self._ending = weakref.finalize(self, _end, self._process, read)
        try:
            failed = self._reply(LOADING)["failed"]
        except _Hung:
            failed = f"{path} did not load within {LOADING:g} s"
        except _Ended as error:
            failed = f"{path} ended its process when it was loaded ({error})"
        if failed:
            self.end()
            raise RecipeError(
                f"The reward function {failed}. Mend the file, or name another; it must define: "
                f"{_SHAPE.replace('grade', name)}."
            )

    @property
    def alive(self) -> bool:
        return self._ending.alive

    def ask(self, given: dict[str, Any]) -> dict[str, Any]:
        """What the function says; raises _Hung and _Ended, after which the worker is to end."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(given) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise _Ended(error.strerror or "it is gone") from None
        return self._reply(self._seconds)

    def _reply(self, seconds: float) -> dict[str, Any]:
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as ready:
            ready.register(self._heard, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not ready.select(max(0.0, until - time.monotonic())):
                    raise _Hung
                part = os.read(self._heard, 1 << 16)
                if not part:
                    raise _Ended(f"exit status {self._process.wait()}")
                self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def end(self) -> None:
        """Kill the process, and all that it started in its group."""
        self._ending()


def _end(process: subprocess.Popen[str], heard: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    process.wait()
    os.close(heard)
