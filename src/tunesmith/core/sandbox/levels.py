"""How code is walled off: by bubblewrap, by namespaces of our own, or by limits alone."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Level = Literal["isolated", "limits_only"]

PROTECTS: dict[Level, str] = {
    "isolated": (
        "no file of this machine but Python's own and the system's libraries, all read-only; "
        "no network; no other process; an empty folder in memory; and limits of time, memory, "
        "output and processes. It does not protect against flaws of the kernel"
    ),
    "limits_only": (
        "limits of time, memory, output and processes, an empty environment and an empty folder. "
        "It protects against slips, not against intent: the code can read and write your files, "
        "use the network, and leave processes behind; and for the superuser "
        "the limit of processes does not hold"
    ),
}
"""What each level gives and what it does not, for the report and for those who choose."""

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_HERE = Path(__file__).parent
_FLAGS = ("-I", "-S", "-c")


@dataclass(frozen=True, slots=True)
class Wall:
    """One way to start the guest: `command` makes its arguments from the bytes of its folder."""

    name: str
    level: Level
    command: Callable[[int], list[str]]


def walls() -> list[Wall]:
    """Ways to isolate on this machine, best first; none of them has been tried yet.

    bubblewrap is the better kept one, but for the superuser limits on processes only hold behind
    our own walls, which become another user.
    """
    if sys.platform != "linux":
        return []
    ours = Wall("Linux namespaces", "isolated", _namespaces)
    tool = shutil.which("bwrap")
    if tool is None:
        return [ours]
    theirs = Wall("bubblewrap", "isolated", lambda disk: _bubblewrap(tool, disk))
    return [ours, theirs] if os.geteuid() == 0 else [theirs, ours]


def limits_only() -> Wall:
    """The guest in a process of its own, and nothing more."""
    command = [sys.executable, *_FLAGS, _text("guest")]
    return Wall("limits only", "limits_only", lambda disk: command)


def _python() -> str:
    """The interpreter itself: a virtual environment's is a link to it."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _visible() -> list[str]:
    """Folders that the interpreter needs, none of them inside another."""
    wanted = [os.path.realpath(sys.base_prefix), *filter(os.path.isdir, _LIBRARIES)]
    paths = [Path(path) for path in dict.fromkeys(wanted)]
    return [str(p) for p in paths if not any(other in p.parents for other in paths)]


def _guest() -> list[str]:
    return [_python(), *_FLAGS, _text("guest")]


def _namespaces(disk: int) -> list[str]:
    wanted = {"visible": _visible(), "command": _guest(), "disk": disk}
    return [sys.executable, *_FLAGS, _text("walls"), json.dumps(wanted)]


def _bubblewrap(tool: str, disk: int) -> list[str]:
    shown = [part for path in _visible() for part in ("--ro-bind", path, path)]
    options: Sequence[str] = (
        *("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--uid", "65534", "--gid", "65534"),
        *shown,
        *("--dev", "/dev", "--size", str(disk), "--tmpfs", "/work", "--remount-ro", "/"),
        *("--chdir", "/work", "--setenv", "HOME", "/work"),
    )
    return [tool, *options, *_guest()]


def _text(name: str) -> str:
    return (_HERE / f"{name}.py").read_text(encoding="utf-8")
