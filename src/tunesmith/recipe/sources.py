"""The sources of training data: names, and names with a weight.

A weight says how often an epoch sees each row of the source: 2 is twice, and 0.5 is another half of
the rows each epoch. A name alone has weight 1, and what was written with weight 1 is a name alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NoReturn

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from tunesmith.core.errors import RecipeError
from tunesmith.recipe.fields import Section, Text, Words, received

MOST = 1000
"""The largest weight. An epoch that sees a row more often than that is a slip of the keyboard."""

_KEY = "data.train"
_KEYS = ("path", "weight")


class Source(Section):
    """A name with its weight."""

    path: Text
    """A file, a folder or a pattern."""

    weight: Annotated[float, Field(gt=0, le=MOST, allow_inf_nan=False)]
    """How often an epoch sees each row."""


def _sources(value: Any) -> Any:
    items = value if isinstance(value, (list, tuple)) else [value]
    return tuple(_source(item) for item in items)


def _source(item: Any) -> Any:
    """A name, or a Source; anything else is left for the type to refuse."""
    if not isinstance(item, Mapping):
        return os.fspath(item) if isinstance(item, os.PathLike) else item
    unknown = [name for name in item if name not in _KEYS]
    if unknown:
        _refuse(f"a source has the keys path and weight; received {', '.join(map(repr, unknown))}.")
    path = item.get("path")
    path = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(path, str) or not path:
        _refuse(f"a source needs the path of its files; received {received(path)}.")
    weight = item.get("weight", 1.0)
    if not is_weight(weight):
        _refuse(_no_weight(path, weight))
    return path if weight == 1 else Source(path=path, weight=weight)


def _refuse(sentence: str) -> NoReturn:
    said = {"key": _KEY, "sentence": f"{_KEY}: {sentence}"}
    raise PydanticCustomError("contradiction", "{sentence}", said)


def is_weight(value: Any) -> bool:
    """Whether a value is a number that a source can have as its weight."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 < value <= MOST


def _no_weight(path: str, value: Any) -> str:
    return (
        f"the weight of {path} must be a number above 0 and up to {MOST} (how often an epoch sees "
        f"each row); received {received(value)}. To leave the source out, do not name it."
    )


Sources = Annotated[
    tuple[Text | Source, ...],
    BeforeValidator(
        _sources,
        json_schema_input_type=str | Source | list[str | Source],
    ),
    Field(min_length=1),
    Words(("a path", "{path: PATH, weight: NUMBER}", "a list of these"), is_path=True),
]


def path_of(source: str | Source) -> str:
    """The name of a source."""
    return source if isinstance(source, str) else source.path


def weighted(
    sources: Sequence[str | Source], weights: Mapping[str, float]
) -> tuple[str | Source, ...]:
    """The sources, of which those named in `weights` have that weight.

    Raises:
        RecipeError: a weight is none, or is of a file that is not among the sources.
    """
    named = [path_of(source) for source in sources]
    for path, weight in weights.items():
        if path not in named:
            raise RecipeError(
                f"--weight names {path}, which is not among the training data "
                f"({', '.join(named) or 'none is named'}). Name it as --data or data.train does."
            )
        if not is_weight(weight):
            raise RecipeError(f"--weight: {_no_weight(path, weight)}")
    return tuple(
        source if path not in weights else _source({"path": path, "weight": weights[path]})
        for path, source in zip(named, sources, strict=True)
    )
