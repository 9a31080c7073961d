"""From the words of a user, typed or in Python, to a recipe and the name of its run folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import RecipeError

if TYPE_CHECKING:
    from tunesmith.recipe import Recipe

RUNS = Path("runs")
"""Where runs without a name of their own go, under the working directory."""


def recipe_from(
    path: Path | None,
    *,
    base: Any = None,
    data: Any = None,
    validation: Any = None,
    overrides: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    weights: Sequence[str] = (),
) -> Recipe:
    """The recipe in `path` with what else was named; the last in this order wins.

    `weights` are texts FILE=NUMBER for files that the recipe, so far, names to train on.

    Raises RecipeError for a key or value that no recipe may have.
    """
    from tunesmith.recipe import load

    named = {"model.base": base, "data.train": data, "data.validation": validation}
    given = {key: value for key, value in named.items() if value is not None}
    recipe = load(path, overrides, {**given, **(settings or {})})
    return _weighted(recipe, weights) if weights else recipe


def _weighted(recipe: Recipe, weights: Sequence[str]) -> Recipe:
    """The recipe with a weight for some of its sources."""
    from tunesmith.recipe import weighted

    given = dict(map(_weight, weights))
    train = weighted(recipe.data.train or (), given)
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"train": train})})


def _weight(text: str) -> tuple[str, float]:
    """What one `--weight` says: the path, absolute, and the number behind the last `=`."""
    name, _, number = text.rpartition("=")
    try:
        weight = float(number)
    except ValueError:
        weight = None
    if not name or weight is None:
        raise RecipeError(
            f"--weight {text}: a weight is written FILE=NUMBER, as in general.jsonl=0.5, with FILE "
            "as in --data."
        )
    if name.startswith("hub:"):
        return name, weight
    return os.path.abspath(os.path.expanduser(name)), weight


def free_folder(recipe: Recipe) -> Path:
    """The first of runs/<data>-1, runs/<data>-2, … that does not exist.

    Raises RecipeError if the recipe names no training data.
    """
    stem = _stem(recipe.data.require_train()[0])
    numbered = (RUNS / f"{stem}-{number}" for number in count(1))
    return next(folder for folder in numbered if not folder.exists())


def curve_folder(recipe: Recipe) -> Path:
    """runs/<data>-curve, which a learning curve of the same recipe goes on in.

    Raises RecipeError if the recipe names no training data.
    """
    return RUNS / f"{_stem(recipe.data.require_train()[0])}-curve"


def search_folder(recipe: Recipe) -> Path:
    """runs/<data>-search, which a search around the same recipe goes on in.

    Raises RecipeError if the recipe names no training data.
    """
    return RUNS / f"{_stem(recipe.data.require_train()[0])}-search"


def improve_folder(recipe: Recipe) -> Path:
    """runs/<data>-improve, which a self-improvement by the same recipe goes on in.

    Raises RecipeError if the recipe names no training data.
    """
    return RUNS / f"{_stem(recipe.data.require_train()[0])}-improve"


def _stem(name: str) -> str:
    """What the data are called: a file without its endings; of a pattern, the folder it is in; of
    a data set of the hub, its own name."""
    if name.startswith("hub:"):
        from tunesmith.data.sources.hub_names import parsed

        name = parsed(name).id
    plain = [part for part in Path(name).parts if not set(part) & set("*?[")]
    file = Path(plain[-1]) if plain else Path("data")
    return (file.with_suffix("") if file.suffix in (".gz", ".xz", ".zst") else file).stem or "data"
