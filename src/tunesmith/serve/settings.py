"""What the operator decides, in one frozen record: HOME/serve.yaml and the command line.

Each field has one home, one unit, and its reason under it. Nothing here is read from the
environment, except by those who start the service.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tunesmith.serve.store.database import sqlite_url

Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


Reach = Literal["public", "loopback", "private"]


class Limits(BaseModel):
    """What one request, one key and one project may take."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    file_bytes: Bytes = 512 << 20
    """Of one file sent at once, as the published interface has it."""
    upload_bytes: Bytes = 8 << 30
    """Of one file sent in parts."""
    part_bytes: Bytes = 64 << 20
    """Of one part."""
    body_bytes: Bytes = 4 << 20
    """Of any other request: JSON that is held in memory."""
    project_bytes: Bytes = 64 << 30
    """Of all files of a project."""
    requests_per_minute: Count = 6000
    """Of one key."""
    tokens_per_minute: Count = 2_000_000
    """Of one key: prompts and answers."""
    concurrent_requests: Count = 256
    """Of one key, under way at once."""
    jobs_running: Count = 2
    """Of one project, at once."""
    jobs_waiting: Count = 100
    """Of one project, not finished."""
    request_tokens: Count = 16384
    """Of all answers to one request together: `n` times what each may have."""
    waiting_answers: Count = 1024
    """Of all keys, that wait to be begun."""
    answer_tokens: Count = 4096
    """Of one answer."""
    connections: Count = 1024
    """Of all clients, open at once."""
    header_bytes: Bytes = 32 << 10
    """Of the head of a request."""
    header_seconds: Seconds = 20
    """Until the head of a request is there."""
    idle_seconds: Seconds = 30
    """Between two pieces of a request's body, and for a client to read on in an answer."""


class Settings(BaseModel):
    """The service as it is to run."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    home: Path
    """All of the service's state lies below it, but for a database given by `database`."""
    host: str = "127.0.0.1"
    """Loopback: who wants to be reached from other machines says so."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0 takes a free one."""
    database: str | None = None
    """URL of a PostgreSQL database; None is a SQLite file in the home."""
    organization: str = "tunesmith"
    """Stands in the names of tuned models: ft:{base}:{organization}:{suffix}:{job}."""
    bases: dict[str, str] = Field(default_factory=lambda: {"anvil": "anvil"})
    """The models that jobs may start from and that are served: the name that clients give, and a
    model folder, a hub name, or `anvil`, the small one inside the package. No other is opened."""
    workers: Annotated[int, Field(ge=0)] = 1
    """Processes that train; beside them one looks at the files of new jobs. 0 for a server
    that others run workers beside."""
    resident_adapters: Count = 32
    """Adapters of one base that are kept in memory; the one used least recently goes first."""
    resident_bases: Count = 2
    """Bases that are kept in memory."""
    batch_size: Count = 64
    """Answers that are written side by side in one forward pass."""
    vllm: str | None = None
    """URL of a vLLM server to which chat is passed on; None is answered in this process."""
    python_graders: bool = False
    """Whether clients may send Python code as graders. It runs in a sandbox even then."""
    min_free_bytes: Bytes = 1 << 30
    """No upload and no job begins where the disk would have less left."""
    lease_seconds: Seconds = 30
    """A worker that has not been heard of for so long has lost its job to another."""
    max_attempts: Count = 5
    """So often in a row, without coming further, is a job taken up again before it fails."""
    verdict: Literal["none", "quick", "standard", "full"] = "quick"
    """How much is measured of a tuned model against its base, as `evaluate.level` of a recipe."""
    results_base64: bool = False
    """Whether the result files of jobs are base64, as the hosted service has sent them: scripts
    that were written for it decode them first."""
    origins: tuple[str, ...] = ()
    """Web origins that browsers may call from. None by default."""
    webhook_reach: Reach = "public"
    """Where webhooks may lead. public: the internet, by https; loopback: this machine, too, which
    lets whoever has an admin key send to every port of it; private: the networks it stands in."""
    limits: Limits = Limits()
    """What one request, one key and one project may take."""

    @property
    def database_url(self) -> str:
        """Where the tables are."""
        return self.database or sqlite_url(self.database_file)

    @property
    def database_file(self) -> Path:
        """The tables where no `database` is given."""
        return self.home / "tunesmith.db"

    @property
    def blobs(self) -> Path:
        """Uploaded bytes."""
        return self.home / "blobs"

    @property
    def jobs(self) -> Path:
        """A folder a job: its data, its run folder, its log."""
        return self.home / "jobs"
