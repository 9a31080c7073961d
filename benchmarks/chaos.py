"""The command: `python -m benchmarks.chaos [--jobs N] [--seed N] [--home FOLDER --fill-disk]`.

A real server process takes real trainings from the official client. While they run, the server and
its workers are killed at random, the store is locked, and the disk is filled, if it is one of its
own. Then every job must have ended once and as it should, and its weights must be those of the
same request on a service that nothing disturbed, to the bit.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import yaml
from sqlalchemy import select

from benchmarks.aftermath import all_ended, faults, some_run
from benchmarks.disturb import Server, disturb
from tunesmith.serve.configure import configured
from tunesmith.serve.errors import ApiError
from tunesmith.serve.jobs.book import Jobs
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.keys import Keys
from tunesmith.serve.store.migrate import open_store
from tunesmith.serve.store.tables import JobRow, ModelRow

VARIANTS = 3
"""Requests that differ, by their seeds; the jobs are made of them in turn."""
ROWS = 48
EPOCHS = 6
SETTINGS: Mapping[str, Any] = {
    "workers": 2,
    "min_free_bytes": 32 << 20,
    "lease_seconds": 5,
    "max_attempts": 100,
    "verdict": "none",
    "limits": {"jobs_running": 8, "jobs_waiting": 1000},
}
PATIENCE = 4 * 3600.0
"""Seconds after which what has not ended is taken to be lost."""
READY = 120.0
"""Seconds that a server has until it answers."""


@dataclass
class Service:
    """A server of our own over a new home, and the official client of it."""

    home: Path
    settings: Settings = field(init=False)
    database: Database = field(init=False)
    server: Server = field(init=False)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        (self.home / "serve.yaml").write_text(yaml.safe_dump({**SETTINGS, "port": _free_port()}))
        self.settings = configured(self.home)
        self.database = open_store(self.settings)
        key, row = Keys(self.database).create("chaos")
        self.project = row.project_id
        self.jobs = Jobs(self.database, self.settings)
        self.server = Server(
            [sys.executable, "-m", "tunesmith", "serve", "--home", str(self.home)],
            self.home / "server.log",
        )
        url = f"http://127.0.0.1:{self.settings.port}/v1"
        self.client = openai.OpenAI(base_url=url, api_key=key)

    def request(self, seeds: Sequence[int]) -> dict[str, str]:
        """A job for each seed; every tenth has a fault in its file. How each is to end."""
        self._wait()
        good, bad = (self._upload(rows) for rows in (_rows(ROWS), [*_rows(ROWS), {"messages": 3}]))
        expected: dict[str, str] = {}
        for number, seed in enumerate(seeds):
            is_bad = number % 10 == 9
            job = self.client.fine_tuning.jobs.create(
                model="anvil",
                training_file=bad if is_bad else good,
                seed=seed,
                method={
                    "type": "supervised",
                    "supervised": {"hyperparameters": {"n_epochs": EPOCHS}},
                },
            )
            expected[job.id] = "failed" if is_bad else "succeeded"
        return expected

    def weights(self) -> dict[int, set[str]]:
        """Hashes of what was trained, by the seed of its request: one each, if all is well."""
        found: dict[int, set[str]] = {}
        with self.database.read() as session:
            made = select(JobRow.seed, ModelRow.folder).where(
                ModelRow.id == JobRow.fine_tuned_model
            )
            for seed, folder in session.execute(made):
                found.setdefault(seed, set()).add(_hash(self.home / folder))
        return found

    def _wait(self) -> None:
        deadline = time.monotonic() + READY
        while True:
            try:
                self.client.models.list()
                return
            except openai.APIConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def _upload(self, rows: Sequence[Mapping[str, Any]]) -> str:
        lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
        file = ("rows.jsonl", io.BytesIO(lines))
        return self.client.files.create(file=file, purpose="fine-tune").id


def main() -> int:
    """Run it and print what came of it. 1 where anything is wrong."""
    asked = _parser().parse_args()
    chance = random.Random(asked.seed)
    home = asked.home or Path(tempfile.mkdtemp(prefix="chaos-"))
    undisturbed = _undisturbed(home / "undisturbed")
    began = time.monotonic()
    service = Service(home / "disturbed")
    expected = service.request([number % VARIANTS for number in range(asked.jobs)])
    steering = Steering(service, expected)
    deadline = time.monotonic() + PATIENCE
    try:
        done = disturb(
            service.server,
            chance,
            (0.0, asked.pause),
            lambda: steering.over() or time.monotonic() > deadline,
            store=service.settings.database_url,
            busy=lambda: some_run(service.database),
            most=asked.disturbances or 2 * asked.jobs,
            disk=home if asked.fill_disk else None,
        )
    finally:
        service.server.stop()
    wrong = faults(service.database, service.settings, expected)
    wrong += _differences(undisturbed, service.weights())
    _print(done, expected, steering.acts, service, time.monotonic() - began)
    for each in wrong:
        print(f"WRONG: {each}")
    return 1 if wrong else 0


class Steering:
    """Of twenty jobs, cancels one and pauses another, once each runs, and resumes it later."""

    def __init__(self, service: Service, expected: dict[str, str]) -> None:
        self.acts: Counter[str] = Counter()
        self._service = service
        self._expected = expected
        good = [id for id, end in expected.items() if end == "succeeded"]
        self._cancel, self._pause = set(good[3::20]), set(good[5::20])

    def over(self) -> bool:
        """Do what is due; whether every job has ended."""
        with suppress(ApiError):  # the store is locked or full, or the job has just ended
            for id in list(self._cancel | self._pause):
                self._steer(id)
            return all_ended(self._service.database)
        return False

    def _steer(self, id: str) -> None:
        jobs, project = self._service.jobs, self._service.project
        status = jobs.get(project, id).status
        if status == "paused":
            jobs.resume(project, id)
            self.acts["resumed"] += 1
            self._pause.discard(id)
        elif status == "running" and id in self._pause:
            jobs.pause(project, id)
            self.acts["paused"] += 1
        elif status == "running":
            jobs.cancel(project, id)
            self.acts["cancelled"] += 1
            self._expected[id] = "cancelled"
            self._cancel.discard(id)


def _undisturbed(home: Path) -> dict[int, set[str]]:
    service = Service(home)
    service.request(range(VARIANTS))
    while not all_ended(service.database):
        time.sleep(0.5)
    service.server.stop()
    return service.weights()


def _differences(calm: Mapping[int, set[str]], disturbed: Mapping[int, set[str]]) -> list[str]:
    return [
        f"jobs of seed {seed} ended with {len(hashes - calm[seed])} other weights"
        for seed, hashes in disturbed.items()
        if hashes != calm[seed]
    ]


def _print(
    done: Counter[str],
    expected: Mapping[str, str],
    acts: Counter[str],
    service: Service,
    took: float,
) -> None:
    with service.database.read() as session:
        attempts = session.scalars(select(JobRow.started_at).where(JobRow.started_at.is_not(None)))
        started = len(attempts.all())
    rows = [
        ("jobs", len(expected)),
        *Counter(expected.values()).items(),
        ("started", started),
        *done.items(),
        *acts.items(),
        ("weights that were compared", sum(end == "succeeded" for end in expected.values())),
        ("seconds", round(took)),
    ]
    print("| what | how often |\n|---|---|")
    for name, count in rows:
        print(f"| {name} | {count} |")


def _rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "user", "content": f"Where is order {number * 37}?"},
                {"role": "assistant", "content": f"It is on shelf {number * 37 % 11}."},
            ]
        }
        for number in range(count)
    ]


def _hash(folder: Path) -> str:
    """Of every weight below a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--disturbances", type=int, help="else two for each job")
    parser.add_argument(
        "--pause", type=float, default=8.0, help="seconds of work between two of them, at most"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what goes wrong, and when")
    parser.add_argument(
        "--home", type=Path, help="a new folder for the services; else a temporary one"
    )
    parser.add_argument(
        "--fill-disk",
        action="store_true",
        help="fill the disk of --home now and then: give it one of its own, such as a tmpfs",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
