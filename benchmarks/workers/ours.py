"""Tunesmith, through its public function: a recipe, and a watcher that keeps the time."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tunesmith
from benchmarks.workers.protocol import Job, Report, read_job
from tunesmith.core.files import read_json
from tunesmith.core.ports import Silent
from tunesmith.core.records import StepReport


class Clock(Silent):
    """A watcher that notes when each step ended, and what the reference pass took."""

    def __init__(self, report: Report, objective: str) -> None:
        self._report = report
        self._objective = objective
        self._began: float | None = None

    def stage(self, name: str, detail: str = "") -> None:
        """A stage begins, and the one before has ended."""
        if self._began is not None:
            self._report.reference += time.time() - self._began
        self._began = time.time() if name == "reference" else None

    def training(self, total_steps: int, done: int = 0) -> None:
        """The loop begins."""
        self.stage("train")

    def step(self, report: StepReport) -> None:
        """A step was made."""
        if self._report.log_p is None:
            self._report.log_p = report.extras.get("log_p_chosen")
        grpo = self._objective == "grpo"
        self._report.step(report.extras["grade"] if grpo else report.loss)


def settings(job: Job) -> dict[str, Any]:
    """The job as recipe keys: every example trained, in order, at one learning rate."""
    method: dict[str, Any] = {"model.method": job.method}
    if job.method == "lora":
        method |= {"model.rank": job.rank, "model.alpha": job.alpha}
    if job.method == "last_layers":
        method |= {"model.layers": job.layers}
    return {
        **method,
        "model.dtype": job.dtype,
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
        **_learned_from(job),
        **job.options.get("settings", {}),
    }


def _learned_from(job: Job) -> dict[str, Any]:
    """What is no default of the objective."""
    if job.objective == "sft":
        return {}
    found: dict[str, Any] = {"objective.kind": job.objective}
    if job.objective == "grpo":
        found |= {
            "reward.graders": [{"type": "function", "path": job.reward}],
            "rollouts.answers": job.group,
            "rollouts.max_new_tokens": job.new_tokens,
            "rollouts.kl_weight": job.kl_weight,
        }
    return found


def work(job: Job) -> Report:
    """Train in a folder that is thrown away."""
    report = Report()
    watcher = Clock(report, job.objective)
    with TemporaryDirectory(dir=job.scratch) as scratch:
        out = Path(scratch) / "run"
        tunesmith.train(base=job.base, data=job.rows, out=out, set=settings(job), watcher=watcher)
        report.note = f"{read_json(out / 'plan.json')['forward']} forward"
    return report


if __name__ == "__main__":
    work(read_job()).print("tunesmith", "torch", "transformers", "peft")
