"""What runs inside: one program and its tests, and a report of how it ended.

This file is handed to `python -I -S -c` as text, so it imports the standard library alone. The job
comes on standard input as JSON; its last act there is to put /dev/null in its place. The report
goes to a pipe of its own: a line when the program begins, and one when it ended, which carries the
job's token, so that a program which ends the process early (`sys.exit(0)`) has not passed. What
tests that passed left in the name `told`, a text, is in the report.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any

_LONGEST = 300


def main() -> None:
    """Run the job on standard input."""
    job = json.load(sys.stdin)
    _close_input()
    _limit(job["limits"])
    os.write(job["report"], b"begun\n")
    owner = os.getpid()
    kind, said = _run(job["program"], job["tests"])
    if os.getpid() != owner:  # a child that the program made, and that came back here
        os._exit(0)
    report = {"token": job["token"], "kind": kind, "said": said[:_LONGEST]}
    os.write(job["report"], json.dumps(report).encode() + b"\n")
    os._exit(0)


def _close_input() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _limit(limits: dict[str, int]) -> None:
    """Soft and hard limits are equal: what runs here cannot raise them again."""
    names = {
        "memory": resource.RLIMIT_AS,
        "seconds": resource.RLIMIT_CPU,
        "disk": resource.RLIMIT_FSIZE,
        "processes": resource.RLIMIT_NPROC,
        "files": resource.RLIMIT_NOFILE,
        "core": resource.RLIMIT_CORE,
    }
    for name, which in names.items():
        _, hard = resource.getrlimit(which)
        most = limits[name] if hard == resource.RLIM_INFINITY else min(limits[name], hard)
        resource.setrlimit(which, (most, most))


def _run(program: str, tests: str) -> tuple[str, str]:
    names: dict[str, Any] = {"__name__": "answer"}
    try:
        compiled = compile(program, "answer", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return "syntax", _said(error)
    try:
        exec(compiled, names)
    except BaseException as error:
        return _kind(error), _said(error)
    try:
        exec(compile(tests, "tests", "exec"), names)
    except AssertionError as error:
        return "wrong", _said(error)
    except BaseException as error:
        return _kind(error), _said(error)
    told = names.get("told")
    return "passed", told if type(told) is str else ""


def _kind(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, OSError):
        return "refused"
    return "ended" if isinstance(error, SystemExit) else "exception"


def _said(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:  # the program's own __str__ may do anything
        return type(error).__name__


if __name__ == "__main__":
    main()
