"""What a recipe may say, read off the sections: for help, documentation, forms and errors."""

from __future__ import annotations

import types
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from pydantic.fields import FieldInfo

from tunesmith.recipe.fields import Section, Words
from tunesmith.recipe.sections import Recipe

_PLAIN = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    types.NoneType: "null",
}
_BOUNDS = (("ge", "of at least"), ("gt", "above"), ("le", "up to"), ("lt", "below"))


class Knob(NamedTuple):
    """One line of help: `engine.epochs`, its type and unit in words, its default, its reason."""

    key: str
    type: str
    default: Any
    description: str


def json_schema() -> dict[str, Any]:
    """The JSON schema of a recipe, with a description of each field and the unit of each number."""
    return Recipe.model_json_schema()


@cache
def sections() -> dict[str, type[Section]]:
    """The class of each section, by its name in the recipe."""
    return {
        name: hint for name, hint in get_type_hints(Recipe).items() if name in Recipe.model_fields
    }


@cache
def describe() -> tuple[Knob, ...]:
    """Every key of the recipe, in order."""
    return tuple(
        Knob(
            f"{name}.{field}",
            type_words(section, field),
            info.default,
            " ".join((info.description or "").split()),
        )
        for name, section in sections().items()
        for field, info in section.model_fields.items()
    )


def type_words(section: type[Section], field: str) -> str:
    """What the field accepts: "auto or a whole number of at least 1 (optimiser steps)"."""
    extra = section.model_fields[field].json_schema_extra
    unit = f" ({extra['unit']})" if isinstance(extra, dict) and "unit" in extra else ""
    return _either(_words(_hint(section, field))) + unit


@cache
def path_keys() -> frozenset[str]:
    """The keys whose values are paths of files."""
    return frozenset(
        f"{name}.{field}"
        for name, section in sections().items()
        for field in section.model_fields
        if _names_a_path(_hint(section, field))
    )


@cache
def _hints(section: type[Section]) -> dict[str, Any]:
    return get_type_hints(section, include_extras=True)


def _hint(section: type[Section], field: str) -> Any:
    return _hints(section)[field]


def _either(options: list[str]) -> str:
    return options[0] if len(options) == 1 else f"{', '.join(options[:-1])} or {options[-1]}"


def _words(hint: Any) -> list[str]:
    """The alternatives that a type hint allows, each in words."""
    origin = get_origin(hint)
    if origin is Literal:
        return [str(value) for value in get_args(hint)]
    if origin in (Union, types.UnionType):
        return [words for option in get_args(hint) for words in _words(option)]
    if origin is Annotated:
        named = [item.options for item in hint.__metadata__ if isinstance(item, Words)]
        return list(named[0]) if named else [_PLAIN[hint.__origin__] + _bounds(hint.__metadata__)]
    return [_PLAIN[hint]]


def _bounds(metadata: tuple[Any, ...]) -> str:
    limits = [limit for info in metadata if isinstance(info, FieldInfo) for limit in info.metadata]
    found = [
        f" {words} {getattr(limit, name):g}"
        for name, words in _BOUNDS
        for limit in limits
        if hasattr(limit, name)
    ]
    return " and".join(found)


def _names_a_path(hint: Any) -> bool:
    marked = any(isinstance(m, Words) and m.is_path for m in getattr(hint, "__metadata__", ()))
    return marked or any(_names_a_path(option) for option in get_args(hint))
