"""The act `search`: try learning rates, ranks and epochs within a time, and write the best recipe.

Trials are compared by the loss of the held-out rows that choose, after all that get worse on
general text than the verdict allows (`kept`). The rows that judge are never looked at: the loss of
the winner, the lowest of many on the same rows, is a little too good, and the run of its recipe is
judged on others.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError, Interrupted, RecipeError
from tunesmith.core.files import read_json, write_json, write_text
from tunesmith.core.ports import Silent, Watcher
from tunesmith.evaluate.measure import Side
from tunesmith.recipe import Recipe
from tunesmith.recipe.methods import METHODS
from tunesmith.recipe.write import sparse
from tunesmith.runs.assembly import batches_of, objective_of, opened, settings_of, tell_data
from tunesmith.runs.begun import begun
from tunesmith.runs.halving import Candidate, as_many_as_fit, foretold, rungs_of
from tunesmith.runs.plan import make_plan
from tunesmith.runs.planned import minutes as spelled
from tunesmith.runs.search_found import found_of
from tunesmith.runs.search_rounds import Rounds
from tunesmith.runs.setup import Setup, set_up
from tunesmith.runs.trials import Trials
from tunesmith.runs.writing import require_writing

_FOLDER = ("search", "another recipe, another time, or other data")


def search(
    recipe: Recipe, minutes: float, out: Path, watcher: Watcher | None = None
) -> dict[str, Any]:
    """Search around a recipe in the folder `out`; returns the content of search.json.

    Asked again with the same recipe, time and data, it goes on where it was interrupted: finished
    trials are used as they are, one that was begun is resumed.

    Args:
        recipe: as for a run. Its values, `auto` or not, are the first candidate.
        minutes: how long it may take; no trial begins that is not foretold to end in time.
        out: the folder, new or of this very search.
        watcher: told what happens.

    Raises:
        InputError: something cannot be used, no trial fits, or `out` holds something else.
        Interrupted: after Ctrl-C or SIGTERM, with all work saved.
    """
    watcher = watcher or Silent()
    if not 0 < minutes < math.inf:
        raise RecipeError(f"--minutes {minutes:g}: give a time above 0, as in --minutes 30.")
    try:
        return _searched(recipe, minutes, out, watcher)
    except KeyboardInterrupt:
        raise Interrupted("Stopped between two trials, with all work saved.") from None


def _searched(recipe: Recipe, minutes: float, out: Path, watcher: Watcher) -> dict[str, Any]:
    began = time.perf_counter()
    watcher.stage("data", "read, check, split")
    require_writing(recipe, "search")
    setup = set_up(recipe)
    tell_data(setup, watcher)
    if not setup.held_out.choosing:
        raise DataError(
            "No row is held out, so no trial could be compared. Give more rows, raise "
            "data.validation_share, or name a file of held-out rows (data.validation)."
        )
    asked = {
        "recipe": recipe.model_dump(mode="json"),
        "minutes": minutes,
        "inputs": setup.inputs,
    }
    if out.exists() and begun(out, asked, *_FOLDER):
        watcher.note(f"The search in {out} was begun before; it goes on.")
    if (out / "search.json").exists():
        return dict(read_json(out / "search.json"))
    if not (out / "plan.json").exists():
        plan = _plan(setup, recipe, 60 * minutes, began, out, watcher)
        begun(out, asked, *_FOLDER)  # not before it is known that something fits
        write_json(out / "plan.json", plan)
    found = _found(setup, recipe, 60 * minutes, out, watcher)
    found |= {"minutes": minutes, "recipe": str(out / "recipe.yaml")}
    write_json(out / "search.json", found)
    return found


def _found(
    setup: Setup, recipe: Recipe, budget: float, out: Path, watcher: Watcher
) -> dict[str, Any]:
    """Make the trials of the plan, and write the recipe of the winner."""
    plan = read_json(out / "plan.json")
    base = Side.from_json(plan["base"])
    trials = Trials(out / "trials", recipe, setup, plan["steps_per_epoch"], watcher)
    (out / "trials").mkdir(exist_ok=True)

    def seconds_of(candidate: Candidate, share: float) -> float:
        return float(plan["around"] + plan["step"] * trials.steps(candidate, share))

    candidates = [Candidate(**each) for each in plan["candidates"]]
    rounds = Rounds(trials, base, seconds_of, budget - plan["spent"], watcher)
    found = found_of(rounds.made(candidates), base, setup.held_out, setup.recipe.model.method)
    won = trials.recipe(Candidate(**found["winner"]))
    write_text(out / "recipe.yaml", sparse(won, found["sentence"]))
    return found


def _plan(
    setup: Setup, recipe: Recipe, budget: float, began: float, out: Path, watcher: Watcher
) -> dict[str, Any]:
    """The candidates that fit, the base as measured, and what trials take: kept as plan.json.

    Raises RecipeError where not even one trial fits into the time.
    """
    opening = time.perf_counter()
    tuned = opened(setup, watcher)
    batches = batches_of(setup, share=tuned.shares)
    settings = settings_of(setup.recipe, batches)
    watcher.stage("plan", "compute a few micro-batches")
    _, planned = make_plan(
        setup,
        tuned,
        settings,
        batches_of,
        opening=0.0,
        folder=Path(tempfile.gettempdir()),
        objective=objective_of(setup.recipe, tuned),
    )
    around = time.perf_counter() - opening  # each trial opens its base and plans, too
    step = planned.predicted.training / settings.total_steps
    trials = Trials(out / "trials", recipe, setup, batches.steps_per_epoch, watcher)

    def seconds_of(candidate: Candidate, share: float) -> float:
        return around + step * trials.steps(candidate, share)

    first = _first(setup)
    _require_time(budget, time.perf_counter() - began, seconds_of(first, 1.0))
    watcher.stage("measure", "the base on the rows that choose, and on general probes")
    with tuned.without() as plain:
        base = trials.side(plain).to_json()
    spent = time.perf_counter() - began
    candidates = as_many_as_fit(first, setup.recipe.engine.seed, seconds_of, budget - spent)
    seconds = foretold(candidates, seconds_of)
    watcher.note(_words(candidates, spent + seconds, budget))
    return {
        "candidates": [asdict(each) for each in candidates],
        "seconds": seconds,
        "spent": spent,
        "around": around,
        "step": step,
        "steps_per_epoch": batches.steps_per_epoch,
        "base": base,
    }


def _require_time(budget: float, spent: float, one: float) -> None:
    """Raises RecipeError if a trial of the recipe asked for does not fit into the time."""
    if spent + one <= budget:
        return
    least = math.ceil((spent + one) / 6) / 10  # a tenth of a minute, rounded upwards
    raise RecipeError(
        f"--minutes {budget / 60:g} holds no trial: reading and planning took {spelled(spent)}, "
        f"and one run of the recipe as it is asked takes about {spelled(one)}. Give at least "
        f"--minutes {least:g}, four times as much for a choice, or make the run shorter "
        "(engine.epochs, engine.max_steps)."
    )


def _first(setup: Setup) -> Candidate:
    """The values that the recipe itself comes to."""
    model, engine = setup.recipe.model, setup.recipe.engine
    rank = model.rank if "alpha" in METHODS[model.method].keys else None
    return Candidate(0, engine.learning_rate, rank, engine.epochs)


def _words(candidates: Sequence[Candidate], seconds: float, budget: float) -> str:
    """What is going to be tried, and how long it takes."""
    rungs = rungs_of(len(candidates))
    parts = {1: "in full", 3: "for a third of their steps", 9: "for a ninth of their steps"}
    counts = ", then ".join(f"{rung.count} {parts[round(1 / rung.share)]}" for rung in rungs)
    said = f"{len(candidates)} recipes: {counts}. That takes about {spelled(seconds)}"
    if seconds <= budget:
        return f"{said} and fits into {spelled(budget)}."
    return (
        f"{said}, more than the {spelled(budget)} of --minutes: no trial begins that is not "
        f"foretold to end in time; --minutes {math.ceil(seconds / 60)} would hold them all."
    )
