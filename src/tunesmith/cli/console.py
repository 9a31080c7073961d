"""Watchers for people: a live bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn
from rich.status import Status
from rich.table import Column
from rich.text import Text

from tunesmith.cli.pace import Pace
from tunesmith.cli.text import duration
from tunesmith.core.records import StepReport, Validation

_REFRESH = 4
"""Redraws a second: enough to look alive, few enough to leave the processor to training."""


def progress(plain: bool = False) -> Screen | Lines:
    """A watcher on stderr that suits it; `plain` asks for lines even on a terminal."""
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    return Screen(console) if console.is_terminal and not plain else Lines(sys.stderr)


class Lines:
    """One line a stage or note, each with the time since the start; a few lines of training."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._started = clock()
        self._pace = Pace(0, 0, clock)
        self._last = (0, self._started)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._line("done")

    def stage(self, name: str, detail: str = "") -> None:
        """A new part of the run begins."""
        self._line(f"{name}: {detail}" if detail else name)

    def training(self, total_steps: int, done_steps: int) -> None:
        """The loop begins."""
        self._pace = Pace(total_steps, done_steps, self._clock)
        self._last = (done_steps, self._clock())
        if done_steps:
            self._line(f"train: goes on after step {done_steps} of {total_steps}")

    def step(self, report: StepReport) -> None:
        """Print a line if enough happened since the last one."""
        self._pace.add(report)
        if self._due():
            self._last = (self._pace.done, self._clock())
            self._line(f"train: {self._pace.words()}")

    def validated(self, validation: Validation) -> None:
        """Kept for the next line; printed at once after the last step."""
        self._pace.measured(validation)
        if self._pace.done == self._pace.total:
            self._line(f"train: {self._pace.summary()}")

    def note(self, message: str) -> None:
        """Something to read."""
        self._line(message)

    def _due(self) -> bool:
        """Each 5 % of the steps; each 1 % where that takes 10 s."""
        step, moment = self._last
        share = (self._pace.done - step) / self._pace.total
        slow = self._clock() - moment >= 10
        return share >= 0.05 or (slow and share >= 0.01) or self._pace.done == self._pace.total

    def _line(self, text: str) -> None:
        print(
            f"{duration(self._clock() - self._started):>8}  {text}", file=self._stream, flush=True
        )


class Screen:
    """A line for each finished stage with its duration, and below it what is going on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage: tuple[str, str, float] | None = None
        self._status: Status | None = None
        self._bar: Progress | None = None
        self._pace: Pace | None = None
        self._notes: list[str] = []

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish(well=kind is None)

    def stage(self, name: str, detail: str = "") -> None:
        """The stage before is finished, this one begins."""
        self._finish(well=True)
        self._stage = (name, detail, time.monotonic())
        self._status = self._console.status(
            Text(f"{name:<8}  {detail}"), refresh_per_second=_REFRESH
        )
        self._status.start()

    def training(self, total_steps: int, done_steps: int) -> None:
        """The bar replaces the spinner."""
        self._still()
        self._pace = Pace(total_steps, done_steps)
        self._bar = Progress(
            BarColumn(bar_width=16),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            console=self._console,
            transient=True,
            refresh_per_second=_REFRESH,
        )
        self._bar.add_task(f"{done_steps}/{total_steps}", total=total_steps, completed=done_steps)
        self._bar.start()

    def step(self, report: StepReport) -> None:
        """Move the bar."""
        if self._pace and self._bar:
            self._pace.add(report)
            self._bar.update(
                self._bar.task_ids[0], completed=report.step, description=self._pace.words()
            )

    def validated(self, validation: Validation) -> None:
        """Shown with the next step."""
        if self._pace:
            self._pace.measured(validation)

    def note(self, message: str) -> None:
        """A line under the one of this stage."""
        self._notes.append(message)

    def _finish(self, well: bool) -> None:
        """End the stage: stop what moves, leave a line with its duration, and the notes."""
        self._still()
        if self._stage is not None:
            name, detail, began = self._stage
            mark = ("✓ ", "green") if well else ("✗ ", "red")
            took = (f"  {duration(time.monotonic() - began)}", "dim")
            self._console.print(Text.assemble(mark, (f"{name:<8}", "bold"), f"  {detail}", took))
        if self._pace is not None:
            self._notes.append(self._pace.summary())
        for note in self._notes:
            self._console.print(Padding(Text(note), (0, 0, 0, 12)))
        self._stage = self._pace = None
        self._notes.clear()

    def _still(self) -> None:
        """Stop the spinner or the bar."""
        for moving in (self._status, self._bar):
            if moving is not None:
                moving.stop()
        self._status = self._bar = None
