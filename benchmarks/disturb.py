"""What goes wrong with a service, on purpose: processes killed, a store locked, a disk filled."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tunesmith.serve.errors import ApiError
from tunesmith.serve.store.database import Database

LOOK = 0.3
"""Seconds between two looks at a service that has nothing to be disturbed."""
LEFT_FREE = 64 << 10
"""Bytes that a filled disk still has."""


class Server:
    """A server process, with the workers that it has started; started anew after each kill."""

    def __init__(self, command: Sequence[str], log: Path, given: bytes = b"") -> None:
        """`log` takes what it says; `given` is written to its standard input."""
        self._command = command
        self._log = log
        self._given = given
        self.process = self._started()

    def workers(self) -> list[int]:
        """Its own processes, whichever of its threads has started them."""
        found: list[int] = []
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with suppress(OSError):  # a thread that has ended meanwhile
                found += map(int, children.read_text().split())
        return sorted(found)

    def kill(self) -> None:
        """The server, not its workers; then it is started again."""
        self.process.kill()
        self.process.wait()
        self.process = self._started()

    def revive(self) -> bool:
        """Start it again if it has ended by itself; whether it had."""
        if self.process.poll() is None:
            return False
        self.process = self._started()
        return True

    def stop(self) -> None:
        """Ask it to end, and wait for it."""
        self.process.terminate()
        self.process.wait(60)

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
            )
        assert process.stdin is not None
        process.stdin.write(self._given)
        process.stdin.close()
        return process


def kill_worker(server: Server, chance: random.Random) -> bool:
    """One of them, at any moment of its work. False if there was none."""
    workers = server.workers()
    if not workers:
        return False
    with suppress(ProcessLookupError):
        os.kill(chance.choice(workers), signal.SIGKILL)
    return True


def lock_store(url: str, seconds: float) -> None:
    """Nobody can write for so long."""
    database = Database(url)
    with suppress(ApiError), database.write():  # the disk may be full, or another be at it
        time.sleep(seconds)
    database.close()


def fill_disk(folder: Path, seconds: float) -> None:
    """Nothing can be written to the disk of this folder for so long."""
    filler = folder / "filler"
    try:
        with filler.open("wb") as file, suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - LEFT_FREE)
        time.sleep(seconds)
    finally:
        filler.unlink(missing_ok=True)


def disturb(
    server: Server,
    chance: random.Random,
    pauses: tuple[float, float],
    over: Callable[[], bool],
    *,
    busy: Callable[[], bool],
    store: str,
    disk: Path | None = None,
    most: int | None = None,
) -> Counter[str]:
    """One thing after the other, each while the service is busy, until it is over or `most` were
    done; how often each was.

    `pauses` are the least and the most seconds of work between two. `disk` is a folder on a disk of
    its own, which is filled; None spares it.
    """
    done: Counter[str] = Counter()
    kinds = ["worker killed"] * 4 + ["server killed"] * 2 + ["store locked"] + ["disk filled"]
    if disk is None:
        kinds.pop()
    while not over():
        done["server ended by itself"] += server.revive()
        if (most is not None and done.total() >= most) or not busy():
            time.sleep(LOOK)
            continue
        time.sleep(chance.uniform(*pauses))
        kind = chance.choice(kinds)
        if kind == "worker killed" and not kill_worker(server, chance):
            continue
        if kind == "server killed":
            server.kill()
        elif kind == "store locked":
            lock_store(store, chance.uniform(0.5, 2.0))
        elif kind == "disk filled" and disk is not None:
            fill_disk(disk, chance.uniform(1.0, 3.0))
        done[kind] += 1
    return done
