"""The act `curve`: train on nested subsets of the rows, and say what more rows would bring.

Every size is an ordinary run in a folder of its own, over a file of its rows: the same held-out
rows, the same values of the recipe (those that `auto` chooses for all rows), and the same number of
optimiser steps, so that smaller subsets are passed more often. Each keeps the weights of its best
loss on the held-out rows that choose, and stops early by the recipe's patience; the others judge.
So every model is trained as far as its rows carry it, and what differs between two points is the
rows alone. With the same number of epochs instead, a tenth of the rows would get a tenth of the
steps, and more steps would be taken for more rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import DataError, Interrupted, RecipeError
from tunesmith.core.files import read_json, whole_folder, write_json, write_text
from tunesmith.core.ports import Silent, Watcher
from tunesmith.evaluate.bootstrap import Interval
from tunesmith.evaluate.learning_chart import learning_chart
from tunesmith.evaluate.learning_curve import FEWEST_POINTS, Curve, Losses, fit_curve
from tunesmith.evaluate.learning_words import TIMES, cautions, outlook, sentence
from tunesmith.recipe import AUTO, JudgeSection, Recipe, Source
from tunesmith.runs.assembly import batches_of, settings_of, tell_data
from tunesmith.runs.curve_folder import CurveFolder
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.open import open_artefact, open_run
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.setup import Setup, set_up
from tunesmith.runs.small_data import FEW_TO_TRAIN
from tunesmith.runs.subsets import Subset, subsets_of, write_subsets
from tunesmith.runs.train import train
from tunesmith.runs.writing import require_writing

REPEATS = 3
"""So often each size is trained where there are few rows: there a seed moves the loss about as far
as more rows do, and a run is short."""

JUDGING_ROWS = 1000
"""At most so many held-out rows judge each size; scoring them is little beside training."""


def learning_curve(
    recipe: Recipe,
    shares: Sequence[float],
    out: Path,
    watcher: Watcher | None = None,
    repeats: int | None = None,
) -> dict[str, Any]:
    """Measure the learning curve of a recipe's data in the folder `out`; returns curve.json.

    Asked again with the same recipe, shares and data, it goes on where it was interrupted: finished
    runs are used as they are, one that was begun is resumed.

    Args:
        recipe: as for a run; its evaluation is not made for each size.
        shares: percent of the training rows, ascending and ending in 100, three or more.
        out: the folder, new or of this very curve.
        watcher: told what happens.
        repeats: how often each size is trained, with other seeds; None is REPEATS where there are
            fewer than FEW_TO_TRAIN rows to train on, else once.

    Raises:
        InputError: something cannot be used, or `out` holds something else.
        Interrupted: after Ctrl-C or SIGTERM, with all work saved.
    """
    watcher = watcher or Silent()
    _check_shares(shares)
    folder = CurveFolder(out)
    try:
        return _measured(_scored(recipe), shares, repeats, folder, watcher)
    except KeyboardInterrupt:
        raise Interrupted("Stopped between two runs, with all work saved.") from None


def _check_shares(shares: Sequence[float]) -> None:
    inside = all(0 < share <= 100 for share in shares)
    ascending = all(low < high for low, high in pairwise(shares))
    if len(shares) < FEWEST_POINTS or not inside or not ascending or shares[-1] != 100:
        received = ", ".join(f"{share:g}" for share in shares) or "none"
        raise RecipeError(
            f"--shares {received}: give {FEWEST_POINTS} or more percentages above 0, ascending, "
            "the last one 100, as in 10,30,100. Fewer points fit no curve."
        )


def _scored(recipe: Recipe) -> Recipe:
    """The recipe without the evaluation of each run, and with as many judging rows as there are."""
    rows = JUDGING_ROWS if recipe.evaluate.rows == AUTO else recipe.evaluate.rows
    evaluate = recipe.evaluate.model_copy(
        update={"level": "none", "rows": rows, "most_forgetting": None}
    )
    return recipe.model_copy(update={"evaluate": evaluate, "judge": JudgeSection()})


def _measured(
    recipe: Recipe,
    shares: Sequence[float],
    repeats: int | None,
    folder: CurveFolder,
    watcher: Watcher,
) -> dict[str, Any]:
    watcher.stage("data", "read, check, split")
    require_writing(recipe, "curve")
    setup = set_up(recipe)
    tell_data(setup, watcher)
    if not setup.held_out.judging:
        raise DataError(
            "No row is held out, so no size of the data could be judged. Give more rows, raise "
            "data.validation_share, or name a file of held-out rows (data.validation)."
        )
    subsets = subsets_of(setup.prepared, shares)
    if repeats is None:
        repeats = REPEATS if len(np.unique(setup.prepared.train.rows)) < FEW_TO_TRAIN else 1
    if folder.begun(recipe, shares, repeats, setup.inputs):
        watcher.note(f"The curve in {folder.path} was begun before; it goes on.")
    if folder.result.exists():
        return dict(read_json(folder.result))
    if not folder.rows.exists():
        with whole_folder(folder.rows) as rows:
            write_subsets(setup.prepared, subsets, rows)
    steps = settings_of(setup.recipe, batches_of(setup, share=True)).total_steps
    for subset, repeat in product(subsets, range(repeats)):
        _train(setup, subset, repeat, steps, folder, watcher)
    watcher.stage("judge", "each size on the same held-out rows")
    curve = fit_curve(_losses(setup, subsets, repeats, folder), setup.recipe.engine.seed)
    found = _found(setup, subsets, folder, curve)
    write_text(folder.picture, learning_chart(curve))
    write_json(folder.result, found)
    return found


def _train(
    setup: Setup, subset: Subset, repeat: int, steps: int, folder: CurveFolder, watcher: Watcher
) -> None:
    """One run of one size: made, taken up where it was left, or found finished."""
    run, recipe = folder.run(subset, repeat), setup.recipe
    again = f", with seed {recipe.engine.seed + repeat}" if repeat else ""
    watcher.stage("curve", f"{subset.name} % of the rows, {subset.rows:,} of them{again}")
    if run.verdict.exists():
        watcher.note(f"The run in {run.path} is finished.")
        return
    begun = run.recipe.exists()
    asked = None if begun else _recipe_of(recipe, subset, repeat, steps, folder.rows)
    train(asked, run.path, resume=begun, watcher=watcher)


def _recipe_of(recipe: Recipe, subset: Subset, repeat: int, steps: int, rows: Path) -> Recipe:
    """The resolved recipe over the rows of one size, for as many steps as all rows get."""
    sources = [
        Source(path=str(path.absolute()), weight=weight)
        for path, weight in subset.files(rows.absolute())
    ]
    data = {
        "train": tuple(sources),
        "validation": str(Subset.held_out(rows.absolute())),
        "validation_share": AUTO,
        "checks": "off",  # all rows were checked at the start
    }
    seed = recipe.engine.seed + repeat
    engine = {"epochs": AUTO, "max_steps": steps, "keep_best": True, "seed": seed}
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update=data),
            "engine": recipe.engine.model_copy(update=engine),
        }
    )


def _losses(setup: Setup, subsets: Sequence[Subset], repeats: int, folder: CurveFolder) -> Losses:
    """Every judging row under the models of every size."""
    columns = [
        [list(_by_row(setup, folder.run(subset, repeat))) for repeat in range(repeats)]
        for subset in subsets
    ]
    count_R = np.array([count for _, count in columns[0][0]])
    nll_PSR = np.array([[[nll for nll, _ in rows] for rows in size] for size in columns])
    return Losses([subset.rows for subset in subsets], nll_PSR.transpose(2, 0, 1), count_R)


def _by_row(setup: Setup, run: RunFolder) -> Iterator[tuple[float, float]]:
    """Nats and learned tokens of each judging row under the model that a run saved."""
    finished = open_run(run.path)
    opened = open_artefact(finished.artefact, finished.recipe)
    scorer = ModelScorer(opened.base, setup.recipe.engine.tokens_per_micro_batch)
    sums: dict[str, tuple[float, float]] = {}
    for score in scorer.score(setup.held_out.judging):
        nll, count = sums.get(str(score.origin), (0.0, 0.0))
        sums[str(score.origin)] = (nll + score.nll, count + score.count)
    yield from sums.values()


def _found(
    setup: Setup, subsets: Sequence[Subset], folder: CurveFolder, curve: Curve
) -> dict[str, Any]:
    """The content of curve.json. Losses are nats per token of the held-out rows that judge."""
    courses = [read_json(folder.run(subset).measured)["course"] for subset in subsets]
    last = courses[-1]
    falls = [None, *curve.drops]
    return {
        "sentence": sentence(curve),
        "outlook": outlook(curve),
        "cautions": cautions(
            curve,
            best_at_end=last["kept_step"] == last["planned_steps"],
            chosen_on_judged=setup.held_out.shared,
        ),
        "judging_rows": curve.points[-1].n,
        "repeats": curve.seeds,
        "seed_noise": curve.spread,
        "chosen_on_judged": setup.held_out.shared,
        "points": [
            {
                "share": subset.share,
                "rows": subset.rows,
                **_values(point),
                "fell_by": None if fall is None else _values(fall),
                "kept_step": course["kept_step"],
                "last_step": course["last_step"],
                "planned_steps": course["planned_steps"],
                "run": str(folder.run(subset).path),
            }
            for subset, point, fall, course in zip(
                subsets, curve.points, falls, courses, strict=True
            )
        ],
        "law": {
            "a": float(curve.best.a_B[0]),
            "b": float(curve.best.b_B[0]),
            "c": float(curve.best.c_B[0]),
            "misfit": curve.misfit,
        },
        "forecast": [
            {"times": times, "rows": times * curve.rows[-1], "gain": _values(curve.gain(times))}
            for times in TIMES
        ],
        "left": _values(curve.left()),
        "picture": str(folder.picture),
    }


def _values(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
