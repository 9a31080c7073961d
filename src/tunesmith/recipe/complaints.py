"""Turn what pydantic found into finished sentences: where, what is allowed, what was received."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from tunesmith.recipe.fields import received
from tunesmith.recipe.schema import describe, sections, type_words


def complaints(error: ValidationError, where: Mapping[str, str]) -> Iterator[str]:
    """One sentence a key, in the order found. `where` says where a dotted key was written."""
    seen = set()
    for problem in error.errors():
        location = [str(part) for part in problem["loc"][:2]]
        key = problem.get("ctx", {}).get("key") or ".".join(location)
        if key in seen:
            continue
        seen.add(key)
        if problem["type"] == "extra_forbidden":
            yield no_such_key(key, where.get(key))
        elif problem["type"] == "contradiction":
            yield _at(where.get(key)) + problem["msg"]
        else:
            yield _at(where.get(key)) + _wrong_type(key, problem["input"])


def no_such_key(key: str, where: str | None) -> str:
    """The sentence for a key that a recipe does not have, with the nearest one it has."""
    nearest = _nearest(key)
    if nearest:
        return f"{_at(where)}unknown key {key}. Did you mean {nearest}?"
    section = key.partition(".")[0]
    if section in sections():
        names = ", ".join(sections()[section].model_fields)
        return f"{_at(where)}unknown key {key}. The section {section} has {names}."
    return f"{_at(where)}unknown key {key}. A recipe has the sections {', '.join(sections())}."


def not_a_section(section: str, value: Any, where: str | None) -> str:
    """The sentence for a single value given where a whole section stands."""
    return (
        f"{_at(where)}{section} is a section: give values to its keys, such as "
        f"{section}.{next(iter(sections()[section].model_fields))}; received {received(value)}."
    )


def _at(where: str | None) -> str:
    return f"{where}: " if where else ""


def _wrong_type(key: str, value: Any) -> str:
    section, _, field = key.partition(".")
    if not field:
        return not_a_section(section, value, None)
    return f"{key} must be {type_words(sections()[section], field)}; received {received(value)}."


def _nearest(key: str) -> str | None:
    """The key most like this one: the same name in another section, then like spelling."""
    keys = [knob.key for knob in describe()]
    section, _, field = key.rpartition(".")
    elsewhere = [known for known in keys if known.endswith(f".{field}")]
    if elsewhere:
        return elsewhere[0]
    if not section and (close := get_close_matches(key, sections(), n=1)):
        return close[0]
    if close := get_close_matches(key, keys, n=1, cutoff=0.8 if section else 0.9):
        return close[0]
    names = {known.partition(".")[2]: known for known in reversed(keys)}
    close = get_close_matches(field, names, n=1, cutoff=0.75)
    return names[close[0]] if close else None
