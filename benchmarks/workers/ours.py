"""Tunesmith, through its public function: a recipe, and a watcher that keeps the time."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tunesmith
from benchmarks.workers.protocol import Job, Report, read_job
from tunesmith.core.files import read_json
from tunesmith.core.ports import Silent
from tunesmith.core.records import StepReport


class Clock(Silent):
    """A watcher that notes when each step ended."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def step(self, report: StepReport) -> None:
        """A step was made."""
        self._report.step(report.loss)


def settings(job: Job) -> dict[str, Any]:
    """The job as recipe keys: every example trained, in order, at one learning rate."""
    method: dict[str, Any] = {"model.method": job.method}
    if job.method == "lora":
        method |= {"model.rank": job.rank, "model.alpha": job.alpha}
    if job.method == "last_layers":
        method |= {"model.layers": job.layers}
    return {
        **method,
        "model.dtype": "bfloat16",
        "model.device": "cpu",
        "data.validation_share": 0.0,
        "data.shuffle": False,
        "engine.max_steps": job.steps,
        "engine.batch_size": job.batch_size,
        "engine.learning_rate": job.learning_rate,
        "engine.schedule": "constant",
        "engine.warmup": 0.0,
        "engine.weight_decay": 0.0,
        "engine.checkpoint_every": job.steps,
        "engine.keep_checkpoints": 1,
        "evaluate.level": "none",
        **job.options.get("settings", {}),
    }


def work(job: Job) -> Report:
    """Train in a folder that is thrown away."""
    report = Report()
    with TemporaryDirectory(dir=job.scratch) as scratch:
        out = Path(scratch) / "run"
        tunesmith.train(
            base=job.base, data=job.rows, out=out, set=settings(job), watcher=Clock(report)
        )
        report.note = f"{read_json(out / 'plan.json')['forward']} forward"
    return report


if __name__ == "__main__":
    work(read_job()).print("tunesmith", "torch", "transformers", "peft")
