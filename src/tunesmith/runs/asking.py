"""Opens a finished run that labels, be it texts or images, to be asked."""

from __future__ import annotations

from tunesmith.runs.images.ask import ImageLabeller
from tunesmith.runs.labels.ask import Asking, Labeller
from tunesmith.runs.open import Run


def open_labeller(run: Run) -> Asking:
    """The tuned model of a run. Raises as `Labeller`."""
    return ImageLabeller(run) if run.recipe.objective.kind == "image" else Labeller(run)
