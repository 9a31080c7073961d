"""One attempt at a job: from the moment it is claimed to the moment it is free again.

Whatever happens inside, the job ends in a state that is right and the worker goes on: a fault of
the data fails it, an error of ours fails it with the traceback in the log of its folder, a full
disk gives it back. Only a killed process leaves it as it is, for the lease to run out.
"""

from __future__ import annotations

import errno
import fcntl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tunesmith.core.errors import StorageError
from tunesmith.serve.jobs.heartbeat import Heartbeat
from tunesmith.serve.jobs.lease import Lease
from tunesmith.serve.jobs.tell import LeasedTell, Stopped
from tunesmith.serve.jobs.work import Claimed, Fault, LeaseLost, Outcome, Tell
from tunesmith.serve.settings import Settings

LOG = "worker.log"
LOCK = ".lock"
_VALIDATED = ".validated"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Work(Protocol):
    """What is done with a job: the module `jobs.execute`, or another in its place."""

    def validate(self, claimed: Claimed, settings: Settings) -> Fault | None:
        """What is wrong with the job's files, if anything is: a first look that takes seconds."""
        ...

    def execute(self, claimed: Claimed, settings: Settings, tell: Tell) -> Outcome:
        """Train, from where an earlier attempt left it."""
        ...


class DiskFull(Exception):
    """The work met a full disk."""


def attempt(
    lease: Lease,
    work: Work,
    settings: Settings,
    stopping: threading.Event,
    end: Callable[[], None],
) -> None:
    """Do what the job needs next. `end` ends the process where the work does not give way."""
    folder = lease.claimed.folder
    with Heartbeat(lease, settings.lease_seconds, end) as heartbeat:
        tell = LeasedTell(lease, heartbeat, stopping)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _alone(folder, tell) as alone:
                outcome: Outcome | Fault | None = Outcome("queued")
                if alone:
                    outcome = _carried_out(lease.claimed, work, settings, tell)
                asked = tell.wanted() is not None
            tell.patiently(lambda: _conclude(lease, outcome, asked))
        except (LeaseLost, Stopped):
            pass  # it is another's now, or will be once the lease runs out
        except DiskFull:
            tell.patiently(lambda: lease.interrupted("The disk of this service was full"))


def _conclude(lease: Lease, outcome: Outcome | Fault | None, asked: bool) -> None:
    """`asked` says whether anybody wanted the work to end before it had."""
    if not isinstance(outcome, Outcome):
        lease.validated(outcome)
    elif outcome.status == "queued" and not asked:
        lease.interrupted("Training could not go on")
    else:
        lease.finish(outcome)


def _carried_out(
    claimed: Claimed, work: Work, settings: Settings, tell: Tell
) -> Outcome | Fault | None:
    """An outcome of training; or, of a job whose files are to be validated, what is wrong."""
    validating = claimed.job.status == "validating_files"
    try:
        fault = _validated(claimed, work, settings)
        if validating:
            return fault
        if fault is not None:
            return Outcome("failed", fault=fault)
        return work.execute(claimed, settings, tell)
    except (LeaseLost, Stopped):
        raise
    except Exception as error:
        if _is_full(error):
            raise DiskFull from error
        fault = _logged(claimed.folder)
        return fault if validating else Outcome("failed", fault=fault)


def _validated(claimed: Claimed, work: Work, settings: Settings) -> Fault | None:
    """Look at the files, unless that was done before.

    That it was done stands in the folder: a job that was paused before, and resumed, is queued
    without it.
    """
    done = claimed.folder / _VALIDATED
    if done.exists():
        return None
    fault = work.validate(claimed, settings)
    if fault is None:
        done.touch()
    return fault


@contextmanager
def _alone(folder: Path, tell: Tell) -> Iterator[bool]:
    """While open, no other process works in the folder; False if it was told to end before.

    One whose lease ran out while it slept may still do so for a moment: until it ends, this waits.
    The lock is the system's, and goes with the process that holds it.
    """
    with (folder / LOCK).open("w") as lock:
        while not (alone := locked(lock.fileno())) and tell.wanted() is None:
            time.sleep(0.2)
        yield alone


def locked(descriptor: int) -> bool:
    """Lock a file without waiting; False while another process has it."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_full(error: BaseException | None) -> bool:
    """Whether a full disk is at the root of it, however it was wrapped."""
    while error is not None:
        if isinstance(error, StorageError):
            return True
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if "No space left on device" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _logged(folder: Path) -> Fault:
    """An error of ours: its traceback stays here, and the client is told where to ask."""
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}\n")
        log.write(f"{traceback.format_exc()}\n")
    return Fault(
        "internal_error",
        "The job ended by an error inside this service. Its operator finds the details in the "
        f"job's folder, in {LOG}. Nothing is wrong with the request as far as is known.",
    )
