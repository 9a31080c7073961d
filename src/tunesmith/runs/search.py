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
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError, Interrupted, RecipeError
from tunesmith.core.files import read_json, write_json, write_text
from tunesmith.core.ports import Silent, Watcher
from tunesmith.evaluate.measure import Side
from tunesmith.recipe import Recipe
from tunesmith.recipe.write import sparse
from tunesmith.runs.assembly import batches_of, opened, settings_of, tell_data
from tunesmith.runs.begun import begun
from tunesmith.runs.halving import Candidate, as_many_as_fit, foretold, going_on, rungs_of
from tunesmith.runs.plan import make_plan
from tunesmith.runs.planned import minutes as spelled
from tunesmith.runs.search_found import found_of, ranked
from tunesmith.runs.setup import Setup, set_up
from tunesmith.runs.trials import Trial, Trials


def search(
    recipe: Recipe, minutes: float, out: Path, watcher: Watcher | None = None
) -> dict[str, Any]:
    """Search around a recipe in the folder `out`; returns the content of search.json.

    Asked again with the same recipe, time and data, it goes on where it was interrupted: finished
    trials are used as they are, one that was begun is resumed.

    Args:
        recipe: as for a run. Its values, `auto` or not, are the first candidate.
        minutes: about how long it may take.
        out: the folder, new or of this very search.
        watcher: told what happens.

    Raises:
        InputError: something cannot be used, or `out` holds something else.
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
    watcher.stage("data", "read, check, split")
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
    if begun(out, asked, "search", "another recipe, another time, or other data"):
        watcher.note(f"The search in {out} was begun before; it goes on.")
    if (out / "search.json").exists():
        return dict(read_json(out / "search.json"))
    plan = _plan(setup, recipe, 60 * minutes, out, watcher)
    base = Side.from_json(plan["base"])
    trials = Trials(out / "trials", recipe, setup, plan["steps_per_epoch"], watcher)
    (out / "trials").mkdir(exist_ok=True)
    candidates = [Candidate(**each) for each in plan["candidates"]]
    made = _halved(trials, candidates, base, 60 * minutes, watcher)
    found = found_of(made, base, setup.held_out)
    won = trials.recipe(Candidate(**found["winner"]))
    write_text(out / "recipe.yaml", sparse(won, found["sentence"]))
    found |= {"minutes": minutes, "recipe": str(out / "recipe.yaml")}
    write_json(out / "search.json", found)
    return found


def _plan(
    setup: Setup, recipe: Recipe, budget: float, out: Path, watcher: Watcher
) -> Mapping[str, Any]:
    """The candidates that fit, and the base as measured; made once and kept in plan.json."""
    file = out / "plan.json"
    if file.exists():
        return dict(read_json(file))
    began = time.perf_counter()
    tuned = opened(setup, watcher)
    batches = batches_of(setup, share=tuned.base.forward.shares)
    settings = settings_of(setup.recipe, batches)
    watcher.stage("plan", "compute a few micro-batches")
    _, planned = make_plan(
        setup, tuned, settings, batches_of, opening=0.0, folder=Path(tempfile.gettempdir())
    )
    around = time.perf_counter() - began  # each trial opens its base and plans, too
    each = planned.predicted.training / settings.total_steps
    trials = Trials(out / "trials", recipe, setup, batches.steps_per_epoch, watcher)

    def seconds_of(candidate: Candidate, share: float) -> float:
        return around + each * trials.steps(candidate, share)

    candidates = as_many_as_fit(_first(setup), setup.recipe.engine.seed, seconds_of, budget)
    watcher.note(_words(candidates, foretold(candidates, seconds_of), budget))
    watcher.stage("measure", "the base on the rows that choose, and on general probes")
    plan = {
        "candidates": [asdict(each) for each in candidates],
        "seconds": foretold(candidates, seconds_of),
        "steps_per_epoch": batches.steps_per_epoch,
        "base": trials.side(tuned.base).to_json(),
    }
    write_json(file, plan)
    return plan


def _first(setup: Setup) -> Candidate:
    """The values that the recipe itself comes to."""
    model, engine = setup.recipe.model, setup.recipe.engine
    rank = model.rank if model.method == "lora" else None
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
        f"{said}, more than the {spelled(budget)} of --minutes: no trial begins once the time is "
        "up, but one runs in full."
    )


def _halved(
    trials: Trials,
    candidates: Sequence[Candidate],
    base: Side,
    budget: float,
    watcher: Watcher,
) -> list[Trial]:
    """All trials that were made, rung by rung, each rung ranked."""
    made: list[Trial] = []
    order = list(candidates)
    for rung in rungs_of(len(candidates)):
        entered = going_on(order, rung.count)
        of_rung: list[Trial] = []
        for number, candidate in enumerate(entered, start=1):
            spent = sum(trial.seconds for trial in (*made, *of_rung))
            known = trials.finished(candidate, rung.share) is not None
            if spent > budget and not known and not (rung.share == 1 and number == 1):
                watcher.note(f"The time is up; {len(entered) - number + 1} trials are left out.")
                break
            of_rung.append(_tried(trials, candidate, rung.share, number, len(entered), watcher))
        best = ranked(of_rung, base)
        order = [trial.candidate for trial in best] or order
        made += best
    return made


def _tried(
    trials: Trials, candidate: Candidate, share: float, number: int, of: int, watcher: Watcher
) -> Trial:
    rank = "" if candidate.rank is None else f", rank {candidate.rank}"
    watcher.stage(
        "trial",
        f"{number} of {of} at {share:.0%} of their steps: rate {candidate.learning_rate:g}{rank}, "
        f"{candidate.epochs} epochs",
    )
    return trials.made(candidate, share)
