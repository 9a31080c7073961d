"""Work in place of training: steps that depend on all before them, and go on where they were left.

What the job is to do stands in its request: `steps`, `seconds` a step, and what goes wrong. What
comes of it is a chain of hashes, equal however often the work was interrupted.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from tunesmith.serve.jobs.results import write_results
from tunesmith.serve.jobs.work import Claimed, Fault, Outcome, Tell
from tunesmith.serve.settings import Settings

OVERLAP = "overlap"
"""Stands in the folder if two processes ever worked there at once."""


def validate(claimed: Claimed, settings: Settings) -> Fault | None:
    """As the request says."""
    if "fault" in claimed.job.asked:
        return Fault("invalid_training_file", claimed.job.asked["fault"], "training_file")
    return None


def execute(claimed: Claimed, settings: Settings, tell: Tell) -> Outcome:
    """All steps that are left."""
    asked = claimed.job.asked
    with (claimed.folder / "busy").open("w") as busy:
        try:
            fcntl.flock(busy, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            (claimed.folder / OVERLAP).touch()
        return _steps(claimed, asked, tell)


def weights(seed: int, steps: int) -> str:
    """What an undisturbed run ends with."""
    chain = str(seed)
    for step in range(1, steps + 1):
        chain = _next(chain, step)
    return chain


def _steps(claimed: Claimed, asked: dict[str, Any], tell: Tell) -> Outcome:
    state = _state(claimed)
    steps = asked.get("steps", 3)
    while state["step"] < steps:
        if wanted := tell.wanted():
            return Outcome({"cancel": "cancelled", "pause": "paused", "stop": "queued"}[wanted])
        time.sleep(asked.get("seconds", 0.0))
        _go_wrong(claimed.folder, asked, state["step"])
        state = {"step": state["step"] + 1, "chain": _next(state["chain"], state["step"] + 1)}
        _write(claimed.folder / "state.json", json.dumps(state))
        tell.event(f"Step {state['step']}/{steps}", type="metrics", data={"step": state["step"]})
        saved = claimed.folder / f"checkpoint-{state['step']}"
        saved.mkdir(exist_ok=True)
        _write(saved / "weights", state["chain"])
        tell.checkpoint(state["step"], {"step": float(state["step"])}, saved)
    return _finished(claimed, state)


def _finished(claimed: Claimed, state: dict[str, Any]) -> Outcome:
    model = claimed.folder / "model"
    model.mkdir(exist_ok=True)
    _write(model / "weights", state["chain"])
    metrics, results = claimed.folder / "metrics.jsonl", claimed.folder / "results.csv"
    _write(metrics, json.dumps({"step": state["step"], "loss": 0.5}) + "\n")
    write_results(metrics, results)
    return Outcome(
        "succeeded",
        trained_tokens=state["step"],
        results={"step_metrics.csv": results},
        model=model,
    )


def _go_wrong(folder: Path, asked: dict[str, Any], step: int) -> None:
    """At step 1, as often as the request says."""
    kind, times = asked.get("wrong", (None, 0))
    happened = folder / "happened"
    before = len(happened.read_text()) if happened.exists() else 0
    if kind is None or step != 1 or before >= times:
        return
    _write(happened, "x" * (before + 1))
    if kind == "disk":
        raise RuntimeError("could not be saved") from OSError(
            errno.ENOSPC, os.strerror(errno.ENOSPC)
        )
    if kind == "stuck":
        time.sleep(3600)
    raise ZeroDivisionError("a secret of the data")


def _state(claimed: Claimed) -> dict[str, Any]:
    path = claimed.folder / "state.json"
    if path.exists():
        return json.loads(path.read_text())
    return {"step": 0, "chain": str(claimed.job.seed)}


def _next(chain: str, step: int) -> str:
    return hashlib.sha256(f"{chain}{step}".encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text)
    part.rename(path)
