"""From the words of a user, typed or in Python, to a recipe and the name of its run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
) -> Recipe:
    """The recipe in `path` with what else was named; the last in this order wins.

    Raises RecipeError for a key or value that no recipe may have.
    """
    from tunesmith.recipe import load

    named = {"model.base": base, "data.train": data, "data.validation": validation}
    given = {key: value for key, value in named.items() if value is not None}
    return load(path, overrides, {**given, **(settings or {})})


def free_folder(recipe: Recipe) -> Path:
    """The first of runs/<data>-1, runs/<data>-2, … that does not exist.

    Raises RecipeError if the recipe names no training data.
    """
    stem = _stem(recipe.data.require_train()[0])
    numbered = (RUNS / f"{stem}-{number}" for number in count(1))
    return next(folder for folder in numbered if not folder.exists())


def _stem(name: str) -> str:
    """What the data are called: a file without its endings; of a pattern, the folder it is in."""
    plain = [part for part in Path(name).parts if not set(part) & set("*?[")]
    file = Path(plain[-1]) if plain else Path("data")
    return (file.with_suffix("") if file.suffix in (".gz", ".xz", ".zst") else file).stem or "data"
