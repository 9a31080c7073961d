"""Jobs without a queue: rows of the table, a folder, and a `Tell` that remembers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tunesmith.serve.jobs.work import Claimed, ClientFile, Wanted
from tunesmith.serve.store.tables import JobRow

QUESTIONS = ("card", "loan", "rate", "transfer", "refund", "limit")


def chats(count: int) -> list[dict[str, Any]]:
    """Rows of conversations, no two alike."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"Where is my {QUESTIONS[n % 6]} number {n * 37}?"},
                {"role": "assistant", "content": f"It is in folder {n % 6}."},
            ]
        }
        for n in range(count)
    ]


def write(path: Path, rows: Iterable[Any]) -> ClientFile:
    """JSON lines, as a client's file of that name."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return ClientFile(path.name, path)


def claimed(
    folder: Path, asked: Mapping[str, Any], files: Mapping[str, ClientFile], seed: int = 5
) -> Claimed:
    """A job of this request."""
    job = JobRow(
        id="ftjob-test",
        model="anvil",
        asked={"model": "anvil", **asked},
        seed=seed,
    )
    folder.mkdir(exist_ok=True)
    return Claimed(job, folder, files)


class Told:
    """Remembers what it is told; from `step` on, it wants the job to be `wanted`."""

    def __init__(self, wanted: Wanted | None = None, step: int = 0) -> None:
        self.events: list[str] = []
        self.data: list[dict[str, Any]] = []
        self.checkpoints: list[tuple[int, dict[str, Any], Path]] = []
        self.method: Mapping[str, Any] = {}
        self.hyperparameters: Mapping[str, Any] = {}
        self.finish = 0
        self._wanted = wanted
        self._step = step

    def event(
        self,
        message: str,
        *,
        level: str = "info",
        type: str = "message",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.events.append(message)
        if type == "metrics":
            self.data.append(dict(data or {}))

    def resolved(self, method: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> None:
        self.method, self.hyperparameters = method, hyperparameters

    def checkpoint(self, step: int, metrics: Mapping[str, Any], folder: Path) -> None:
        self.checkpoints.append((step, dict(metrics), folder))

    def expect(self, finish: int) -> None:
        self.finish = finish

    def wanted(self) -> Wanted | None:
        return self._wanted if len(self.data) >= self._step else None
