"""Measuring what it costs that the base is held in 4 bits: the same rows on the base without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from tunesmith.core.files import read_json
from tunesmith.core.ports import Watcher
from tunesmith.evaluate.measure import Measured
from tunesmith.evaluate.rounding import rounding
from tunesmith.evaluate.unquantised import Unquantised
from tunesmith.models.methods import reopen
from tunesmith.models.open import DTYPES, open_base
from tunesmith.models.quantised import NONE
from tunesmith.runs.fitting import COMFORT, gigabytes
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.judging import score_judging
from tunesmith.runs.memory import Meter, room
from tunesmith.runs.setup import Setup
from tunesmith.runs.verdict_cost import UNQUANTISED, timed


def with_unquantised(
    measured: Measured, setup: Setup, folder: RunFolder, artefact: Path, watcher: Watcher
) -> Measured:
    """With the rows that judge on the base as it is, alone and with the adapter in `artefact`.

    Unchanged where the recipe does not quantise, or where there is no room for the base otherwise.
    What was found is said. No other model is open.
    """
    model = setup.recipe.model
    if model.quantize == NONE:
        return measured
    if missing := _no_room(setup, read_json(folder.plan)["parameters"]):
        watcher.note(missing)
        return measured
    watcher.stage("compare", f"the base in {model.dtype}, without {model.quantize}")
    with timed(folder, UNQUANTISED):
        base = open_base(setup.described, model.dtype, model.device)
        alone = tuple(score_judging(base, setup))
        tuned = tuple(score_judging(reopen(base, artefact), setup))
    found = Unquantised(model.quantize, model.dtype, alone, tuned)
    told = rounding(found, *measured.sides, setup.recipe.engine.seed)
    said = str(told["summary"])
    watcher.note(f"{said[:1].upper()}{said[1:]}.")
    return replace(measured, unquantised=found)


def _no_room(setup: Setup, weights: int) -> str:
    """Why a base of so many weights cannot be opened as it is, a sentence; "" where it can."""
    model = setup.recipe.model
    device = torch.device(model.device)
    available = room(device)
    needed = Meter(device).held() + weights * DTYPES[model.dtype].itemsize
    if available is None or needed <= COMFORT * available.bytes:
        return ""
    return (
        f"What model.quantize={model.quantize} costs was not measured: with the base in "
        f"{model.dtype} it would take {gigabytes(needed)}, and {available.limit} leaves "
        f"{gigabytes(available.bytes)}."
    )
