"""Walls of Linux namespaces: a root without the machine's files, no network, no other process.

This file is handed to `python -I -S -c` as text, with what it needs as JSON in its argument, and
becomes the program that the walls are for. It needs no privilege where the system lets users make
namespaces (`unshare(2)`); the superuser makes them without a user namespace and becomes nobody,
because limits on the number of processes do not hold for the superuser.

In the new root stand what Python needs to run, read-only and nothing else, and an empty /work in
memory. Afterwards nothing of the old root can be reached: it is not mounted any more
(`pivot_root(2)`).
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

NEWNS, NEWUTS, NEWIPC, NEWUSER = 0x20000, 0x4000000, 0x8000000, 0x10000000
NEWPID, NEWNET = 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, REMOUNT, BIND = 1, 2, 4, 32, 4096
RECURSIVE, PRIVATE, DETACH = 16384, 1 << 18, 2
PARENT_DEATH, NO_NEW_PRIVILEGES = 1, 38
NOBODY = 65534
UNAVAILABLE = 125
"""The exit status where the walls could not be built: nothing of the program has run then."""

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Build the walls and become the program within."""
    wanted = json.loads(sys.argv[1])
    try:
        _own_namespaces()
        child = os.fork()
        if child:  # process 1 of the new namespace is the child: all die with it
            _, status = os.waitpid(child, 0)
            os._exit(os.waitstatus_to_exitcode(status) & 127)
        _build(wanted["visible"], wanted["disk"])
        _become_nobody()
        os.execve(wanted["command"][0], wanted["command"], {"HOME": "/work"})
    except OSError as error:
        print(f"{error.filename or 'namespaces'}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(UNAVAILABLE)


def _own_namespaces() -> None:
    flags = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET
    if os.geteuid() == 0:
        _call("unshare", flags)
        return
    user, group = os.geteuid(), os.getegid()
    _call("unshare", flags | NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {user} 1"),
        ("gid_map", f"{NOBODY} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _build(visible: list[str], disk: int) -> None:
    """The new root, on the folder in which this process was started."""
    _mount(None, "/", None, RECURSIVE | PRIVATE)
    root = os.getcwd()
    _mount("tmpfs", root, "tmpfs", NOSUID | NODEV, "size=1m,mode=755")
    for path in visible:
        _show(path, root + path)
    os.makedirs(f"{root}/dev")
    with open(f"{root}/dev/null", "w", encoding="ascii"):
        pass
    _mount("/dev/null", f"{root}/dev/null", None, BIND)
    os.makedirs(f"{root}/work")
    owner = f"size={disk},mode=700,uid={NOBODY},gid={NOBODY}"
    _mount("tmpfs", f"{root}/work", "tmpfs", NOSUID | NODEV, owner)
    os.chdir(root)
    _call("pivot_root", b".", b".")
    _call("umount2", b".", DETACH)
    os.chdir("/")
    _mount(None, "/", None, REMOUNT | BIND | RDONLY | NOSUID | NODEV)
    os.chdir("/work")


def _show(path: str, place: str) -> None:
    """Mount a folder read-only. Flags that the system has locked must be named again."""
    os.makedirs(place)
    _mount(path, place, None, BIND)
    locked = os.statvfs(place).f_flag & (NOSUID | NODEV | 8 | 1024 | 2048 | 4096)
    kept = locked & (NOSUID | NODEV | 8)
    kept |= {1024: 1024, 2048: 2048, 4096: 1 << 21}.get(locked & 7168, 0)  # access times
    _mount(None, place, None, REMOUNT | BIND | RDONLY | NOSUID | NODEV | kept)


def _become_nobody() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    _call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _call("prctl", PARENT_DEATH, int(signal.SIGKILL), 0, 0, 0)


def _mount(
    source: str | None, place: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, place, kind, options)]
    _call("mount", *texts[:3], ctypes.c_ulong(flags), texts[3], what=place)


def _call(name: str, *arguments: Any, what: str | None = None) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what or name)


if __name__ == "__main__":
    main()
