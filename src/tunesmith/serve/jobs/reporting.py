"""A run's watcher that tells a job's client, in the words of the published interface."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunesmith.core.records import StepReport, Validation
from tunesmith.serve.jobs.work import Tell, Wanted

MOST_STEPS = 1000
"""Of a longer run every so many steps are told, so that there are this many events; its results
have all of them."""

_ASKED_EVERY = 0.5
_EXPECTED_EVERY = 10.0


class Wish:
    """What a person wants of the job, looked up no more than twice a second, and kept."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._asked = -math.inf
        self.wanted: Wanted | None = None

    def __call__(self) -> bool:
        """Whether the run is to end."""
        now = time.monotonic()
        if self.wanted is None and now - self._asked >= _ASKED_EVERY:
            self._asked, self.wanted = now, self._tell.wanted()
        return self.wanted is not None


class Reporter:
    """Tells of steps together with what was measured after them, so each is told once the next has
    begun, or `flush` says that there is none."""

    def __init__(self, tell: Tell, begins: Callable[[], None]) -> None:
        """`begins` is called once the run has chosen each `auto`, before its first step."""
        self._tell = tell
        self._begins = begins
        self._total = 0
        self._begun = (0.0, 0)
        self._expected = -math.inf
        self._waiting: dict[str, Any] | None = None
        self._last: dict[str, Any] = {}

    def stage(self, name: str, detail: str = "") -> None:
        """A stage ends the steps; where they are fewer than planned, the client is told why."""
        self.flush()
        made = self._last.get("step", self._total)
        if made < self._total:
            self._tell.event(
                f"Training ended at step {made} of {self._total}: the validation no longer improved"
            )
            self._total = made

    def note(self, message: str) -> None:
        """Sentences of a run speak of the machine, and to its user: no client is told."""

    def training(self, total_steps: int, done_steps: int) -> None:
        """The loop begins, or goes on."""
        self._total, self._begun = total_steps, (time.monotonic(), done_steps)
        self._begins()
        if done_steps:
            self._tell.event(f"Training goes on from the checkpoint of step {done_steps}")

    def step(self, report: StepReport) -> None:
        """One more step."""
        self.flush()
        accuracy = report.extras.get("token_accuracy")
        self._waiting = {
            "step": report.step,
            "total_steps": self._total,
            "train_loss": report.loss,
            **({} if accuracy is None else {"train_mean_token_accuracy": accuracy}),
            **({"train_reward_mean": grade} if (grade := report.extras.get("grade")) else {}),
        }
        self._expect(report.step)

    def validated(self, validation: Validation) -> None:
        """What the step came to on rows that it did not learn from."""
        found = {"valid_loss": validation.loss}
        if validation.grade is not None:
            found = {"valid_reward_mean": validation.grade}
        if validation.token_accuracy is not None:
            found["valid_mean_token_accuracy"] = validation.token_accuracy
        if self._waiting is not None:
            self._waiting |= found

    def saved_epoch(self, step: int, folder: Path) -> None:
        """The model after an epoch can be asked."""
        self.flush()
        metrics = {name: float(value) for name, value in self._last.items()}
        metrics.pop("total_steps", None)
        self._tell.checkpoint(step, metrics, folder)

    def flush(self) -> None:
        """Tell of the last step, if that has not been done."""
        if (data := self._waiting) is None:
            return
        self._waiting, self._last = None, data
        if data["step"] % math.ceil(self._total / MOST_STEPS) == 0 or data["step"] == self._total:
            self._tell.event(_sentence(data), type="metrics", data=data)

    def _expect(self, step: int) -> None:
        """Say when the last step will be made, at the pace of those made so far."""
        now, (began, done) = time.monotonic(), self._begun
        if now - self._expected >= _EXPECTED_EVERY:
            self._expected = now
            left = (self._total - step) * (now - began) / (step - done)
            self._tell.expect(math.ceil(time.time() + left))


def _sentence(data: Mapping[str, Any]) -> str:
    said = [f"Step {data['step']}/{data['total_steps']}: training loss={data['train_loss']:.2f}"]
    if "train_reward_mean" in data:
        said.append(f"training reward={data['train_reward_mean']:.2f}")
    if "valid_loss" in data:
        said.append(f"validation loss={data['valid_loss']:.2f}")
    if "valid_reward_mean" in data:
        said.append(f"validation reward={data['valid_reward_mean']:.2f}")
    return ", ".join(said)
