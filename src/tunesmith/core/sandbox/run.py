"""Code that a model wrote, executed: one process for each program, watched until it ends.

The walls say what the code can reach (`levels`), the limits what it can use up. Tests and program
share a process, as in every such judge: a program that looks for the tests can forge the outcome.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import selectors
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO, Any

from tunesmith.core.errors import Unsupported
from tunesmith.core.sandbox.levels import PROTECTS, Level, Wall, limits_only, walls

KINDS = {
    "passed": "passed the tests",
    "syntax": "could not be read as Python",
    "wrong": "failed a test",
    "exception": "raised an exception",
    "time": "ran out of time",
    "memory": "ran out of memory",
    "output": "wrote too much",
    "refused": "reached for a file, the network or a process that it is not given",
    "ended": "ended before the tests did",
}
"""Every way in which a program can end."""

_STARTING = 60.0
"""Seconds that a busy machine may take until the program begins; they are not the program's."""

_LOOK = 0.2
"""Seconds after which it is looked whether the process is still there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use: wall-clock seconds; bytes of memory, of output and of each file
    and all files together; processes and threads; open files."""

    seconds: float = 5.0
    memory: int = 512 << 20
    output: int = 64 << 10
    disk: int = 16 << 20
    processes: int = 16
    files: int = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended: one of KINDS, and the first words of what Python said, or of what tests
    that passed left in the name `told`."""

    kind: str
    said: str = ""

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return self.kind == "passed"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A place to run code in; made by `open_sandbox`, which has tried it."""

    wall: Wall
    limits: Limits

    @property
    def level(self) -> Level:
        """How well it protects."""
        return self.wall.level

    def describe(self) -> str:
        """The walls by name, and what they do and do not protect against."""
        return f"{self.wall.name}: {PROTECTS[self.level]}"

    def run(self, program: str, tests: str) -> Outcome:
        """Run a program and then its tests in the same names; asserts say what is wrong."""
        read, write = os.pipe()
        token = secrets.token_hex(16)
        job = {"program": program, "tests": tests, "token": token, "report": write}
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            tempfile.TemporaryFile() as given,
        ):
            given.write(json.dumps({**job, "limits": self._limits()}).encode("utf-8", "replace"))
            given.seek(0)
            process = subprocess.Popen(
                self.wall.command(self.limits.disk),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={"HOME": folder},
                cwd=folder,
                start_new_session=True,
                pass_fds=(write,),
            )
            os.close(write)
            with os.fdopen(read, "rb", buffering=0) as report:
                try:
                    return _watch(process, report, token, self.limits)
                finally:
                    _end(process)

    def _limits(self) -> dict[str, int]:
        seconds = math.ceil(self.limits.seconds) + 1  # the wall clock comes first
        return {**asdict(self.limits), "seconds": seconds, "core": 0}


def open_sandbox(
    limits: Limits | None = None, *, weak: bool = False, key: str = "evaluate.run_code"
) -> Sandbox:
    """A sandbox that has been tried on this machine.

    Args:
        limits: what a program may use.
        weak: settle for limits alone, without isolation.
        key: where the recipe allows code, for the sentences.

    Raises:
        Unsupported: code cannot be isolated here, and `weak` was not asked for.
    """
    if os.name != "posix":
        raise Unsupported(
            "Code that a model wrote is run on Linux, and with limits alone on macOS; this system "
            f"has no limits of that kind. Leave out what needs {key}."
        )
    limits = limits or Limits()
    if weak:
        return Sandbox(limits_only(), limits)
    tried = [Sandbox(wall, limits) for wall in walls()]
    said = []
    for sandbox in tried:
        found = _try(sandbox)
        if found.passed:
            return sandbox
        said.append(f"{sandbox.wall.name}: {found.said or KINDS[found.kind]}")
    raise Unsupported(
        "Code that a model wrote cannot be walled off from files and network on this machine "
        f"({'; '.join(said) or 'it is not Linux'}). On Linux, install bubblewrap (the command "
        "bwrap), or allow users to make namespaces. In a container or a machine that has nothing "
        f"to lose, --set {key}=limits_only runs it with {PROTECTS['limits_only']}."
    )


def _try(sandbox: Sandbox) -> Outcome:
    """Whether the walls stand: a file of this machine is not seen, and there is no way out."""
    with tempfile.NamedTemporaryFile() as outside:
        tests = _PROBE.format(outside=outside.name, here=os.getcwd())
        return sandbox.run("import os, socket", tests)


_PROBE = """
assert not os.path.exists({outside!r}), "a file outside can be seen"
assert os.listdir() == [], "the folder is not empty"
assert {here!r} in ("/", "/work") or not os.path.exists({here!r}), "the working folder can be seen"
assert [name for _, name in socket.if_nameindex() if name != "lo"] == [], "there is a network"
try:
    open("/probe", "w")
except OSError:
    pass
else:
    raise AssertionError("the root can be written")
"""


def _watch(
    process: subprocess.Popen[bytes], report: IO[bytes], token: str, limits: Limits
) -> Outcome:
    """Read output and report until it is whole, output is too much, or no time is left.

    The first line of the report says that the program begins: from there on its time counts.
    """
    output = process.stdout
    assert output is not None
    until, written, told, begun = time.monotonic() + _STARTING, b"", b"", False
    with selectors.DefaultSelector() as ready:
        ready.register(output, selectors.EVENT_READ)
        ready.register(report, selectors.EVENT_READ)
        while ready.get_map():
            left = until - time.monotonic()
            if left <= 0:
                return Outcome("time") if begun else Outcome("ended", "It did not begin.")
            events = ready.select(min(left, _LOOK))
            if not events and process.poll() is not None:
                break
            for key, _ in events:
                part = os.read(key.fd, 1 << 16)
                if not part:
                    ready.unregister(key.fileobj)
                elif key.fileobj is output:
                    written += part
                else:
                    told += part
            if not begun and b"\n" in told:
                until, told, begun = (
                    time.monotonic() + limits.seconds,
                    told.partition(b"\n")[2],
                    True,
                )
            if b"\n" in told:
                return _told(told, token)
            if len(written) > limits.output:
                return Outcome("output")
    last = written.decode("utf-8", "replace").strip().splitlines()
    return Outcome("ended", last[-1] if last else "")


def _told(report: bytes, token: str) -> Outcome:
    """The guest's report, if it is the guest's."""
    with suppress(ValueError, TypeError, KeyError):
        found: Any = json.loads(report.partition(b"\n")[0])
        if found["token"] == token and found["kind"] in KINDS:
            return Outcome(found["kind"], str(found["said"]))
    return Outcome("ended", "It wrote to the report by itself.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the whole group, also where its first process has ended already."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
