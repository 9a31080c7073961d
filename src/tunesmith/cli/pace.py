"""How training goes: progress, recent loss, speed, time left. What both kinds of console show."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from tunesmith.cli.text import duration
from tunesmith.core.records import StepReport, Validation

_RECENT = 20
"""Steps averaged for loss and speed: enough to be calm, few enough to follow."""


class Pace:
    """Fed with the reports of the loop; `done_steps` of `total_steps` may already lie behind."""

    def __init__(
        self, total_steps: int, done_steps: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total = total_steps
        self.done = done_steps
        self.held_out: Validation | None = None
        self.best: Validation | None = None
        self._clock = clock
        self._reports: deque[StepReport] = deque(maxlen=_RECENT)
        self._times = deque([clock()], maxlen=_RECENT + 1)

    def add(self, report: StepReport) -> None:
        """A step was made."""
        self.done = report.step
        self._reports.append(report)
        self._times.append(self._clock())

    def measured(self, validation: Validation) -> None:
        """The held-out loss was measured."""
        self.held_out = validation
        self.best = validation if validation.best else self.best

    @property
    def loss(self) -> float:
        """Nats per supervised token over the recent steps."""
        count = sum(report.supervised_tokens for report in self._reports)
        return sum(report.loss * report.supervised_tokens for report in self._reports) / count

    @property
    def tokens_per_second(self) -> float:
        """Over the recent steps, with all that happened between them."""
        return sum(report.tokens for report in self._reports) / self._elapsed

    @property
    def seconds_left(self) -> float:
        """At the recent speed."""
        return (self.total - self.done) * self._elapsed / len(self._reports)

    @property
    def _elapsed(self) -> float:
        return max(self._times[-1] - self._times[0], 1e-9)

    def words(self) -> str:
        """One line; needs at least one report."""
        held_out = f"  held-out {_figure(self.held_out, '')}" if self.held_out else ""
        left = f"  {duration(self.seconds_left)} left" if self.done < self.total else ""
        return (
            f"{self.done}/{self.total}  loss {self.loss:.3f}{held_out}"
            f"  {self.tokens_per_second:,.0f} tokens/s{left}"
        )

    def summary(self) -> str:
        """What the whole training came to."""
        early = "" if self.done >= self.total else f" of {self.total}"
        if self.best is None:
            return f"{self.done}{early} steps"
        best = f"best held-out {_figure(self.best, 'loss ')} at step {self.best.step}"
        return f"{self.done}{early} steps, {best}"


def _figure(found: Validation, name: str) -> str:
    """The loss under that name; the grade where the loss is only minus it."""
    return f"{name}{found.loss:.3f}" if found.grade is None else f"grade {found.grade:.3f}"
