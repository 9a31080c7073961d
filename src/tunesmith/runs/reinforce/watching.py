"""What is written while a run learns from grades: figures of answers, looks at held-out prompts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tunesmith.core.files import append_jsonl, read_json, write_json
from tunesmith.core.ports import Watcher
from tunesmith.core.records import StepReport, Validation
from tunesmith.evaluate.preferences.measured import Way
from tunesmith.runs.reinforce.batches import RolloutBatches
from tunesmith.runs.reinforce.exam import mean_grade, success_share
from tunesmith.runs.reinforce.figures import figures_of
from tunesmith.runs.watching import MetricsWriter


class RolloutWriter(MetricsWriter):
    """A MetricsWriter that adds the figures of a step's answers, and those of held-out prompts.

    A look at held-out prompts is kept in a file, like a round of answers: a run that goes on after
    an interruption finds it there, and chooses the same weights whoever gave the grades.

    Args:
        path: metrics.jsonl.
        watcher: everything is passed on to it.
        batches: where the answers of a step are.
        look: asks the model as it stands.
        folder: where looks are kept.
        success: the grade from which an answer is one.
    """

    def __init__(
        self,
        path: Path,
        watcher: Watcher,
        batches: RolloutBatches,
        look: Callable[[], Way],
        folder: Path,
        success: float,
    ) -> None:
        super().__init__(path, watcher)
        self._batches = batches
        self._look = look
        self._folder = folder
        self._success = success
        self._done = 0
        self._seen = Way("tuned", "the tuned model", ())

    def step(self, report: StepReport) -> None:
        """Write the step's line, with the figures of its answers."""
        self._done = report.step
        figures = figures_of(self._batches.experience(report.step - 1), self._success)
        super().step(replace(report, extras={**report.extras, **figures}))

    def criterion(self) -> float:
        """What the weights to keep are chosen by, as a loss: minus the mean held-out grade."""
        path = self._folder / f"held-out-{self._done:06d}.json"
        if path.exists():
            self._seen = Way.from_json(read_json(path))
        else:
            self._seen = self._look()
            path.parent.mkdir(exist_ok=True)
            write_json(path, self._seen.to_json())
        return -mean_grade(self._seen)

    def validated(self, validation: Validation) -> None:
        """Write the look's line."""
        line = {
            "step": validation.step,
            "epoch": validation.epoch,
            "held_out_grade": (grade := mean_grade(self._seen)),
            "held_out_success": success_share(self._seen, self._success),
            "held_out_loss": validation.loss,
            "best": validation.best,
        }
        append_jsonl(self._path, line)
        self._watcher.validated(replace(validation, grade=grade))
