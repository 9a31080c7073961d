"""The model as it was after each pass over the data, where a caller wants to have it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tunesmith.core.files import whole_folder
from tunesmith.models.methods import Tuned
from tunesmith.runs.folder import RunFolder

KEPT = 3
"""Epochs whose models are kept, the newest."""

AfterEpoch = Callable[[int, Path], None]
"""Is told the steps done, and a folder that `open_run` takes: the recipe, and the adapter or the
model as it was then."""


def saving_epochs(
    tuned: Tuned, folder: RunFolder, told: AfterEpoch | None
) -> Callable[[int], None] | None:
    """Saves a copy after an epoch and tells of it; None where nobody wants to be told.

    Saving draws nothing and changes no weight, so training has the same bits with it and without.
    """
    if told is None:
        return None

    def after_epoch(step: int) -> None:
        place = folder.epoch(step)
        with whole_folder(place) as draft:
            shutil.copyfile(folder.recipe, draft / folder.recipe.name)
            tuned.save(draft / tuned.artefact)
        told(step, place)
        for old in sorted(folder.epochs.glob("step-*"))[:-KEPT]:
            shutil.rmtree(old)

    return after_epoch
