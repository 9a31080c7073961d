"""What passes between the process that holds a job and what carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from tunesmith.serve.store.tables import JobRow

Wanted = Literal["cancel", "pause", "stop"]
"""What a person asked of a running job; "stop" where the worker itself is to end, and the job goes
back to the queue."""

Kind = Literal["chat", "classifier", "embedder", "image"]


@dataclass(frozen=True, slots=True)
class ClientFile:
    """A client's file: what it is called there, and where its bytes are, which never change."""

    filename: str
    path: Path


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that this process may work on as long as it holds the lease.

    `folder` is the job's own and outlives the process: what another attempt left is in it. `files`
    are those that the request names (`recipe.file_ids`), by their ids, as far as they are there.
    """

    job: JobRow
    folder: Path
    files: Mapping[str, ClientFile] = field(default_factory=dict)


class Tell(Protocol):
    """How the work says what happens. Each call is on the disk when it returns.

    Raises LeaseLost, at which the work must end at once: another process has the job.
    """

    def event(
        self,
        message: str,
        *,
        level: Literal["info", "warn", "error"] = "info",
        type: Literal["message", "metrics"] = "message",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Something that happened, for the client to read."""
        ...

    def resolved(self, method: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> None:
        """What each `auto` of the request has become."""
        ...

    def checkpoint(
        self, step: int, metrics: Mapping[str, Any], folder: Path, kind: Kind = "chat"
    ) -> None:
        """A state of the model that can be asked, complete in `folder`.

        The last three are kept; the folder of the one before them is removed. A step that was told
        of before is passed over, so what is not sure may be told again.
        """
        ...

    def expect(self, finish: int) -> None:
        """When the job is expected to be done, in Unix seconds."""
        ...

    def wanted(self) -> Wanted | None:
        """Whether the work is to end, and how. Ask it between steps."""
        ...


class LeaseLost(Exception):
    """The job belongs to another process now; nothing may be written for it any more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a job failed, as the interface shows it."""

    code: str
    message: str
    param: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the work ended.

    `status` "queued" gives the job back: where nobody wanted that, it counts as an interruption, of
    which there may be only so many in a row. A full disk need not be caught: an OSError or a
    StorageError that goes through does the same. `results` are files to be offered to the client,
    by the names they are to have. `model` is the run folder of what was made, and `kind`
    what it can do.
    """

    status: Literal["succeeded", "failed", "cancelled", "paused", "queued"]
    trained_tokens: int | None = None
    results: Mapping[str, Path] = field(default_factory=dict)
    model: Path | None = None
    kind: Kind = "chat"
    fault: Fault | None = None
