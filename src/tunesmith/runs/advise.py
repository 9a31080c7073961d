"""The act `advise`: before training, measure what would help, and say what to do.

The base is measured on held-out rows as it is asked and with each help; then a probe, which is an
ordinary run of a few steps in a temporary folder, shows what training would bring. The probe sees
the rows of its steps only, keeps its last weights, and never stops early: nothing is chosen by the
held-out rows, so all of them judge, and memorising shows. Nothing of it is kept.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import DataError, Interrupted, RecipeError
from tunesmith.core.files import read_json, require_new, write_json
from tunesmith.core.ports import Silent, Watcher
from tunesmith.core.records import Example, Tokens
from tunesmith.evaluate.advice import BASE, PROBE, Evidence, deciding
from tunesmith.evaluate.advice_words import advice_of
from tunesmith.evaluate.measure import Baseline, Course, Measured
from tunesmith.models.open import Base
from tunesmith.recipe import AUTO, JudgeSection, Recipe
from tunesmith.runs.assembly import batches_of, objective_of, opened, settings_of, tell_data
from tunesmith.runs.baselines import Asking, Help, asking_rows, helps
from tunesmith.runs.heldout import row_numbers, spread
from tunesmith.runs.open import open_artefact
from tunesmith.runs.plan import make_plan
from tunesmith.runs.planned import Predicted
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.setup import Setup, set_up
from tunesmith.runs.train import train
from tunesmith.runs.watching import OfTraining
from tunesmith.runs.writing import require_writing

MOST_ROWS = 96
"""Rows that judge, where there is time: an interval of a rate is then at most 20 % wide."""

FEWEST_ROWS = 16
"""Rows that judge, however short the time is."""

ANSWERS = 32
"""For so many of them answers are written, which costs most."""

PROBE_STEPS = 60
FEWEST_STEPS = 10
"""Of the probe: as many as the time allows, between these and what the recipe would take."""

_TRIED = 6
_DOCUMENTS = (
    "These rows are documents, which ask nothing: there is no prompt, example or search to hold "
    "against training. `tunesmith curve` says what training on them brings, and `tunesmith plan` "
    "what it takes."
)


def advise(
    recipe: Recipe, minutes: float, out: Path | None = None, watcher: Watcher | None = None
) -> dict[str, Any]:
    """Measure the base, its helps and a short probe run; returns the content of advice.json.

    Args:
        recipe: as for a run.
        minutes: about how long it may take, half of it for training.
        out: a new folder for advice.json; nothing is written without.
        watcher: told what happens.

    Raises:
        InputError: something cannot be used.
        Interrupted: after Ctrl-C or SIGTERM; nothing is kept.
    """
    watcher, began = watcher or Silent(), time.perf_counter()
    if not 0 < minutes < math.inf:
        raise RecipeError(f"--minutes {minutes:g}: give a time above 0, as in --minutes 5.")
    if out is not None:
        require_new(out, "the advice")
    try:
        found = advice_of(_evidence(_asked(recipe), 30 * minutes, watcher))
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted("Stopped before the advice was ready; nothing was kept.") from None
    found["seconds"] = time.perf_counter() - began
    if out is not None:
        out.mkdir()
        write_json(out / "advice.json", found)
    return found


def _asked(recipe: Recipe) -> Recipe:
    """The recipe with an evaluation that measures the helps."""
    evaluate = recipe.evaluate
    update = {"level": "standard" if evaluate.level in ("none", "quick") else evaluate.level}
    return recipe.model_copy(
        update={"evaluate": evaluate.model_copy(update=update), "judge": JudgeSection()}
    )


def _evidence(recipe: Recipe, half: float, watcher: Watcher) -> Evidence:
    """All measurements; `half` is the time in seconds for the helps, and for the probe."""
    watcher.stage("data", "read, check, split")
    require_writing(recipe, "advise")
    setup = set_up(recipe)
    tell_data(setup, watcher)
    numbers = np.unique(row_numbers(setup.prepared.held_out)).tolist()
    rows = asking_rows(setup, spread(numbers, MOST_ROWS))
    if setup.recipe.objective.kind == "text" or (numbers and not rows):
        raise DataError(_DOCUMENTS)
    if not rows:
        raise DataError(
            "No row is held out, so nothing could be judged. Give more rows, raise "
            "data.validation_share, or name a file of held-out rows (data.validation)."
        )
    began = time.perf_counter()
    tuned = opened(setup, watcher)
    steps = settings_of(setup.recipe, batches_of(setup, share=tuned.shares))
    watcher.stage("plan", "compute a few micro-batches")
    opening = time.perf_counter() - began
    disk = Path(tempfile.gettempdir())
    setup, planned = make_plan(
        setup,
        tuned,
        steps,
        batches_of,
        opening=opening,
        folder=disk,
        objective=objective_of(setup.recipe, tuned),
    )
    given = [Help(BASE, "the base as it is asked"), *helps(setup)]
    watcher.stage("measure", "the base as it is asked, and with each help")
    count = _probe_steps(planned.predicted, steps.total_steps, half)
    with tuned.without() as base:
        rows = _within(base, setup, rows, given, half)
        sample = _seen(setup, count, len(rows))
        options = [Asking(base, setup, rows, ANSWERS).measured(each) for each in given]
        options[0] = _with_trained(options[0], base, setup, sample)
    del base, tuned  # their memory is wanted for the probe
    probe, course = _probed(recipe, setup, rows, sample, count, watcher)
    return Evidence(
        options=(*options, probe),
        course=course,
        rows=len(np.unique(setup.prepared.train.rows)),
        training_seconds=planned.predicted.training,
        metric=deciding(setup.grading.metrics),
        seed=setup.recipe.engine.seed,
    )


def _within(
    base: Base, setup: Setup, rows: Sequence[Example], given: Sequence[Help], seconds: float
) -> list[Example]:
    """As many of the rows as can be measured with every help in about so many seconds.

    Timed on a few rows with the last help, whose prompts are the longest; the probe is asked, too.
    """
    tried = spread(rows, _TRIED)
    began = time.perf_counter()
    Asking(base, setup, tried, len(tried)).measured(given[-1])
    each = (time.perf_counter() - began) / len(tried)
    fit = int(seconds / (each * (len(given) + 1)))
    return spread(rows, min(MOST_ROWS, max(FEWEST_ROWS, fit)))


def _probe_steps(predicted: Predicted, planned: int, seconds: float) -> int:
    """How many steps the probe takes: never more than the run itself would."""
    fit = int(seconds / (predicted.training / planned))
    return min(planned, PROBE_STEPS, max(FEWEST_STEPS, fit))


def _seen(setup: Setup, steps: int, most: int) -> list[Tokens]:
    """Rows that the first steps train on: what was memorised shows on them."""
    batches = batches_of(setup, share=False)
    places = (divmod(step, batches.steps_per_epoch) for step in range(steps))
    seen = {each.origin: each for place in places for each in batches.examples(*place)}
    return spread([*seen.values()], most)


def _with_trained(option: Baseline, base: Base, setup: Setup, sample: Sequence[Tokens]) -> Baseline:
    """The option with the scores of trained rows."""
    scorer = ModelScorer(base, setup.recipe.engine.tokens_per_micro_batch)
    return replace(option, side=replace(option.side, train=tuple(scorer.score(sample))))


def _probed(
    recipe: Recipe,
    setup: Setup,
    rows: Sequence[Example],
    sample: Sequence[Tokens],
    steps: int,
    watcher: Watcher,
) -> tuple[Baseline, Course]:
    """The probe run, measured on the same rows as it is asked, and how it went."""
    watcher.stage("probe", f"train {steps} steps, as a run would")
    with tempfile.TemporaryDirectory(prefix="tunesmith-advise-") as temporary:
        run = train(_probe(recipe, steps), Path(temporary) / "run", watcher=OfTraining(watcher))
        course = Measured.from_json(read_json(run.folder.measured)).course
        watcher.stage("measure", "the probe on the same rows")
        base = open_artefact(run.artefact, run.recipe).base
        title = f"trained for {steps} steps"
        probe = Asking(base, setup, rows, ANSWERS).measured(Help(PROBE, title))
        return _with_trained(probe, base, setup, sample), course


def _probe(recipe: Recipe, steps: int) -> Recipe:
    """The recipe of the probe run."""
    engine = {"max_steps": steps, "epochs": AUTO, "keep_best": False, "patience": 0}
    return recipe.model_copy(
        update={
            "engine": recipe.engine.model_copy(update=engine),
            "evaluate": recipe.evaluate.model_copy(
                update={"level": "none", "most_forgetting": None}
            ),
        }
    )
