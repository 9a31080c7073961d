"""What runs beside a run: the user's own function, asked answer by answer.

This file is handed to `python -c` as text, so it imports the standard library alone. Its arguments
are the user's file, the name of the function, the seconds it may take, and the number of a pipe.
Questions come on standard input, a line of JSON each; replies go to that pipe, so that what the
function prints disturbs nothing. The first reply says whether the function could be loaded.
"""

from __future__ import annotations

import json
import math
import numbers
import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

GRACE = 2.0
"""Seconds after which a call that went on beyond its time ends the process by itself, if nobody is
there any more to end it."""

_MODULE = "tunesmith_user_reward"
_LONGEST = 300


def main() -> None:
    """Load the function, then answer until standard input ends."""
    path, name, seconds, pipe = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
    with os.fdopen(pipe, "w", encoding="utf-8") as replies:
        function, failed = _load(path, name)
        _reply(replies, {"failed": failed})
        if function is None:
            return
        for line in sys.stdin:
            asked = json.loads(line)
            signal.setitimer(signal.ITIMER_REAL, seconds + GRACE)
            reply = _call(function, path, asked)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _reply(replies, reply)


def _reply(replies: Any, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply) + "\n")
    replies.flush()


def _load(path: str, name: str) -> tuple[Callable[..., Any] | None, str]:
    """The function, or why there is none."""
    sys.dont_write_bytecode = True  # nothing appears beside the user's files
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    module = ModuleType(_MODULE)
    module.__file__ = path
    sys.modules[_MODULE] = module  # dataclasses look their own module up there
    try:
        with open(path, encoding="utf-8") as file:
            source = file.read()
    except (OSError, UnicodeDecodeError) as error:
        return None, f"{path} cannot be read ({error})"
    try:
        exec(compile(source, path, "exec"), module.__dict__)  # the user named it
    except BaseException as error:
        return None, f"{_place(path, error)} raised {_said(error)} when it was loaded"
    function = getattr(module, name, None)
    if not callable(function):
        return None, f"{path}:1 defines no function named {name}"
    return function, ""


def _call(function: Callable[..., Any], path: str, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        value = function(asked["sample"], asked["item"])
    except BaseException as error:
        return {"failed": f"{_place(path, error)} raised {_said(error)}"}
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return {"value": float(value)}
    code = getattr(function, "__code__", None)
    line = code.co_firstlineno if code is not None else 1
    return {"failed": f"{path}:{line} returned {_shown(value)} (no finite number)"}


def _place(path: str, error: BaseException) -> str:
    """`path:line` of the deepest line of the user's file that the error went through."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"{path}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    return f"{path}:{lines[-1] if lines else 1}"


def _said(error: BaseException) -> str:
    said = _shown(error, str)
    return f"{type(error).__name__} ({said})" if said else type(error).__name__


def _shown(value: Any, shown: Callable[[Any], str] = repr) -> str:
    try:
        return shown(value)[:_LONGEST]
    except Exception:  # what a user's class does when it is shown may fail, too
        return f"a {type(value).__name__}"


if __name__ == "__main__":
    main()
