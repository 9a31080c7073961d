"""Watchers that runs need: what they write, what they pass on, and what ends a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from tunesmith.core.errors import Interrupted
from tunesmith.core.files import append_jsonl
from tunesmith.core.ports import Silent, Watcher
from tunesmith.core.records import StepReport, Validation
from tunesmith.engine.stopping import StopRequest
from tunesmith.objectives.cross_entropy import TOKEN_ACCURACY


class MetricsWriter:
    """Passes everything on to `watcher`, and writes steps and validations to a file first.

    `token_accuracy` tells that of the last validation, where it was measured.
    """

    def __init__(
        self,
        path: Path,
        watcher: Watcher,
        token_accuracy: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._path = path
        self._watcher = watcher
        self._token_accuracy = token_accuracy
        self.stage = watcher.stage
        self.training = watcher.training
        self.note = watcher.note

    def step(self, report: StepReport) -> None:
        """Write the step's line."""
        values = asdict(report)
        extras = values.pop("extras")
        append_jsonl(self._path, {**values, **extras})
        self._watcher.step(report)

    def validated(self, validation: Validation) -> None:
        """Write the validation's line."""
        line = {
            "step": validation.step,
            "epoch": validation.epoch,
            "held_out_loss": validation.loss,
            "best": validation.best,
        }
        if (accuracy := self._token_accuracy()) is not None:
            line[TOKEN_ACCURACY] = accuracy
        append_jsonl(self._path, line)
        self._watcher.validated(replace(validation, token_accuracy=accuracy))


class Stoppable:
    """Passes everything on to `watcher`, and ends the run before a stage if it is to stop."""

    def __init__(self, watcher: Watcher, stop: StopRequest) -> None:
        self._watcher = watcher
        self._stop = stop
        self.training = watcher.training
        self.step = watcher.step
        self.validated = watcher.validated
        self.note = watcher.note

    def stage(self, name: str, detail: str = "") -> None:
        """Raises Interrupted if the run is to stop."""
        if self._stop:
            raise Interrupted(f"Stopped by {self._stop.signal} before the stage {name}.")
        self._watcher.stage(name, detail)


class OfTraining(Silent):
    """Passes on what is told of the steps: for a run within an act, which told of the rest."""

    def __init__(self, watcher: Watcher) -> None:
        self.training = watcher.training
        self.step = watcher.step
        self.validated = watcher.validated
