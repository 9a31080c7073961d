"""Code that a model wrote: each way of ending, and what it cannot reach."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from tunesmith.core.errors import Unsupported
from tunesmith.core.sandbox import KINDS, Limits, Outcome, Sandbox, open_sandbox, run
from tunesmith.core.sandbox.levels import Wall, limits_only, walls

ROOMY = Limits(seconds=20.0)
ENDS: dict[str, tuple[str, str, str, str]] = {
    "right": ("def add(a, b):\n    return a + b", "assert add(1, 2) == 3", "passed", ""),
    "no code": ("", "assert add(1, 2) == 3", "exception", "NameError"),
    "no python": ("def add(a, b", "pass", "syntax", "never closed"),
    "null byte": ("a = '\0'", "pass", "syntax", "null"),
    "half a character": ("a = '\ud800'", "pass", "syntax", "surrogates"),
    "wrong": ("def add(a, b):\n    return a", "assert add(1, 2) == 3, 'sum'", "wrong", "sum"),
    "exception": ("1 / 0", "pass", "exception", "division by zero"),
    "exit": ("import sys\nsys.exit(0)", "assert False", "ended", "SystemExit"),
    "hard exit": ("import os\nos._exit(0)", "assert False", "ended", ""),
    "crash": ("import ctypes\nctypes.string_at(0)", "pass", "ended", ""),
    "memory": ("a = bytearray(10**10)", "pass", "memory", "MemoryError"),
    "flood": ("while True: print('x' * 1000)", "pass", "output", ""),
    "disk": ("open('a', 'wb').write(bytes(10**8))", "pass", "refused", "File too large"),
    "files": ("a = [open('a', 'w') for _ in range(99)]", "pass", "refused", "Too many open"),
    "exception with a trap": (
        "class Trap(Exception):\n    def __str__(self):\n        1 / 0\nraise Trap",
        "pass",
        "exception",
        "Trap",
    ),
    "quiet input": (
        "import sys, os",
        "os.lseek(0, 0, 0)\nassert os.read(0, 9) == b''\nassert os.listdir() == []\n"
        "assert os.environ['HOME'] == os.getcwd()\nassert 'PATH' not in os.environ",
        "passed",
        "",
    ),
}
OUT_OF_REACH = {
    "password file": ("open('/etc/passwd')", "No such file"),
    "network": ("import socket\nsocket.create_connection(('192.0.2.1', 80), 3)", "unreachable"),
    "name server": ("import socket\nsocket.getaddrinfo('example.com', 80)", ""),
    "fork bomb": ("import os\nwhile True: os.fork()", "temporarily unavailable"),
    "writing beside": ("open('/usr/lib/a', 'w')", ""),
    "another process": (f"import os\nos.kill({os.getpid()}, 0)", "No such process"),
}


_SPACES = ("--map-root-user", "--mount", "--net", "--pid", "--fork")
_CAN = {
    "Linux namespaces": ["unshare", *_SPACES, "mount", "-t", "tmpfs", "tmpfs", "/tmp"],
    "bubblewrap": ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"],
}
"""Commands that work where such walls can be built, by other code than ours: a fault of ours fails
these tests, and does not skip them."""


def _isolating() -> list[Any]:
    """Each kind of walls; one that cannot be built here is skipped with its reason."""
    found = []
    for wall in walls():
        command = _CAN[wall.name]
        known = shutil.which(command[0]) is not None
        done = (
            subprocess.run(command, check=False, capture_output=True, text=True) if known else None
        )
        said = done.stderr.strip() if done else f"there is no command {command[0]}"
        skip = pytest.mark.skipif(
            done is None or done.returncode != 0, reason=f"{wall.name} cannot be built here: {said}"
        )
        found.append(pytest.param(wall, id=wall.name, marks=skip))
    missing = pytest.mark.skip(reason="this machine has no namespaces of Linux")
    return found or [pytest.param(None, id="none", marks=missing)]


ISOLATING = _isolating()
BEST = [ISOLATING[0], pytest.param(limits_only(), id="limits only")]


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("wall", BEST)
def test_each_way_of_ending_is_told(wall: Wall, name: str) -> None:
    program, tests, kind, said = ENDS[name]
    found = Sandbox(wall, ROOMY).run(program, tests)
    assert found.kind == kind, found
    assert said in found.said
    assert found.kind in KINDS
    assert found.passed is (kind == "passed")


@pytest.mark.parametrize("program", ["while True: pass", "import time\ntime.sleep(60)"])
@pytest.mark.parametrize("wall", BEST)
def test_time_is_bounded_by_the_clock_on_the_wall(wall: Wall, program: str) -> None:
    began = time.monotonic()
    assert Sandbox(wall, Limits(seconds=1.0)).run(program, "pass") == Outcome("time")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("name", OUT_OF_REACH)
@pytest.mark.parametrize("wall", ISOLATING)
def test_what_is_not_given_is_out_of_reach(wall: Wall, name: str) -> None:
    if name == "fork bomb" and wall.name == "bubblewrap" and os.geteuid() == 0:
        pytest.skip("limits of processes do not hold for the superuser, who gets the other walls")
    program, said = OUT_OF_REACH[name]
    found = Sandbox(wall, ROOMY).run(program, "pass")
    assert found.kind == "refused", found
    assert said in found.said


@pytest.mark.parametrize("wall", ISOLATING)
def test_files_of_the_user_are_not_there(wall: Wall, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("4711")
    tests = (
        f"import os\nassert not os.path.exists({str(secret)!r})\n"
        f"assert not os.path.exists({str(Path(__file__))!r})\nassert os.getuid() == 65534"
    )
    assert Sandbox(wall, ROOMY).run("", tests).passed


@pytest.mark.parametrize("wall", ISOLATING)
def test_what_is_shown_of_the_machine_is_read_only(wall: Wall) -> None:
    """Whoever the owner is: as nobody most could not be written in any case."""
    program = (
        "import os, sys\n"
        "shown = ['/', os.path.dirname(os.path.realpath(sys.executable)), '/usr/lib']\n"
        "assert all(os.statvfs(each).f_flag & os.ST_RDONLY for each in shown)"
    )
    assert Sandbox(wall, ROOMY).run(program, "pass").passed


@pytest.mark.parametrize("wall", ISOLATING)
def test_no_privilege_is_left(wall: Wall) -> None:
    """Nothing can be mounted, and no other namespace entered, from within."""
    program = (
        "import ctypes\nlibc = ctypes.CDLL(None)\n"
        "assert libc.mount(b'tmpfs', b'/work', b'tmpfs', 0, None) != 0\n"
        "assert libc.umount2(b'/work', 2) != 0"
    )
    assert Sandbox(wall, ROOMY).run(program, "pass").passed


@pytest.mark.parametrize("hidden", [False, True], ids=["in the group", "in a session of its own"])
@pytest.mark.parametrize("wall", BEST)
def test_no_process_is_left_behind(wall: Wall, hidden: bool) -> None:
    if hidden and wall.level == "limits_only":
        pytest.skip("limits alone do not protect against this, and say so")
    mark = uuid4().hex
    program = (
        "import os, sys\nif os.fork() == 0:\n"
        + ("    os.setsid()\n" if hidden else "")
        + f"    os.execv({sys.executable!r}, ['{mark}', '-c', 'import time; time.sleep(50)'])"
    )
    if wall.level == "isolated":
        program = program.replace(repr(sys.executable), "sys.executable")
    assert Sandbox(wall, ROOMY).run(program, "import time; time.sleep(0.3)").passed
    for _ in range(20):
        if not any(mark in line for line in _command_lines()):
            return
        time.sleep(0.1)
    pytest.fail("a process of the program is still running")


@pytest.mark.parametrize("wall", ISOLATING)
def test_a_program_that_leaves_the_group_is_killed_with_it(wall: Wall) -> None:
    mark = uuid4().hex
    program = (
        "import os, sys\nos.setsid()\n"
        f"os.execv(sys.executable, ['{mark}', '-c', 'import time; time.sleep(50)'])"
    )
    assert Sandbox(wall, Limits(seconds=1.0)).run(program, "pass").kind == "time"
    time.sleep(0.5)
    assert not any(mark in line for line in _command_lines())


def _command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_text(errors="replace")


def test_a_report_of_the_program_s_own_does_not_count() -> None:
    forged = json.dumps({"token": "guessed", "kind": "passed", "said": ""}).encode() + b"\n"
    program = (
        f"import os\nfor fd in range(3, 20):\n    try: os.write(fd, {forged!r})\n"
        "    except OSError: pass\nos._exit(0)"
    )
    assert Sandbox(limits_only(), ROOMY).run(program, "assert False").kind == "ended"


def test_a_child_of_the_program_reports_nothing() -> None:
    program = "import os, time\nchild = os.fork()\nif child:\n    time.sleep(0.5)"
    assert Sandbox(limits_only(), ROOMY).run(program, "assert child == 0").kind == "wrong"


def test_limits_cannot_be_raised_again() -> None:
    program = (
        "import resource\n"
        "for name in ('AS', 'CPU', 'FSIZE', 'NPROC', 'NOFILE', 'CORE'):\n"
        "    soft, hard = resource.getrlimit(getattr(resource, 'RLIMIT_' + name))\n"
        "    assert soft == hard != resource.RLIM_INFINITY, name"
    )
    assert Sandbox(limits_only(), ROOMY).run(program, "pass").passed


def test_walls_that_do_not_hold_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only claims to isolate is found out when it is tried."""
    leaky = Wall("paper", "isolated", limits_only().command)
    monkeypatch.setattr(run, "walls", lambda: [leaky])
    with pytest.raises(Unsupported, match=r"paper: AssertionError: a file outside can be seen"):
        open_sandbox()
    monkeypatch.setattr(run, "walls", list)
    with pytest.raises(Unsupported, match=r"not Linux.* evaluate\.run_code=limits_only"):
        open_sandbox()


def test_a_system_without_such_limits_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "os", SimpleNamespace(name="nt"))
    with pytest.raises(Unsupported, match=r"Leave out what needs evaluate\.run_code"):
        open_sandbox(weak=True)


def test_limits_alone_are_taken_only_where_they_are_asked_for() -> None:
    found = open_sandbox(weak=True)
    assert found.level == "limits_only"
    assert "can read and write your files" in found.describe()


@pytest.mark.skipif(not walls(), reason="this machine has no namespaces of Linux")
def test_walls_that_cannot_be_built_run_nothing(tmp_path: Path) -> None:
    """Where a part of the walls is missing the program is not reached."""
    wall = walls()[0]
    broken = Wall(
        wall.name,
        wall.level,
        lambda disk: [p.replace('"/usr', '"/nowhere') for p in wall.command(disk)],
    )
    found = Sandbox(broken, ROOMY).run(f"open({str(tmp_path / 'ran')!r}, 'w')", "pass")
    assert found.kind == "ended"
    assert not (tmp_path / "ran").exists()
