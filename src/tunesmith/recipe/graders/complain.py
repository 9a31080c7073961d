"""What is wrong with a grader, in finished sentences that name where, what and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from tunesmith.recipe.fields import received
from tunesmith.recipe.graders import templates
from tunesmith.recipe.graders.formula import FormulaError, parse
from tunesmith.recipe.graders.shapes import SHAPES, Field, Kind, value

DEEPEST = 4
"""Levels of `multi` inside one another."""

SAMPLING: Mapping[str, Kind] = {
    "temperature": "not_negative",
    "top_p": "positive",
    "seed": "count",
    "max_completions_tokens": "count",
    "reasoning_effort": "text",
}
"""What of a judge's sampling may be set, by the interface's own names."""

_ROLES = ("system", "developer", "user", "assistant")


def faults(grader: Any, where: str = "grader", depth: int = 0) -> Iterator[str]:
    """A sentence for each thing that makes `grader` none; nothing for one that is well formed."""
    if not isinstance(grader, Mapping):
        yield f"{where} must be a mapping with a type; received {received(grader)}."
        return
    kind = grader.get("type")
    if not isinstance(kind, str) or kind not in SHAPES:
        yield _unknown_type(where, kind)
        return
    shape = SHAPES[kind]
    if shape.inside_only and not depth:
        yield f"{where} is of the type {kind}, which stands inside a multi alone. Put it into one."
    if depth > DEEPEST:
        yield f"{where} stands {depth} multis deep; {DEEPEST} are allowed. Make it flatter."
        return
    known = {"type", "name", *shape.fields, *(() if depth else ("weight",))}
    for name in grader:
        if name not in known:
            yield _unknown_field(where, kind, str(name), known)
    yield from _common(grader, where)
    for name, field in shape.fields.items():
        if grader.get(name) is not None:
            yield from _field(grader[name], field, f"{where}.{name}", depth)
        elif field.required:
            yield f"{where} is of the type {kind}, which needs {name}: {_words(field)}."
    yield from _together(grader, where)


def _unknown_type(where: str, kind: Any) -> str:
    types = ", ".join(SHAPES)
    if kind is None:
        return f"{where} has no type. The types are {types}."
    return (
        f"{where}.type is {received(kind)}, which is no grader.{_mean(kind, SHAPES)} The types are "
        f"{types}."
    )


def _unknown_field(where: str, kind: str, name: str, known: set[str]) -> str:
    if name == "weight":
        return f"{where}.weight: inside a multi, calculate_output weighs. Write it there."
    return (
        f"{where} has the unknown field {name!r}.{_mean(name, known)} The type {kind} "
        f"has {', '.join(SHAPES[kind].fields)}."
    )


def _mean(given: Any, known: Any) -> str:
    close = get_close_matches(str(given), list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]}?" if close else ""


def _common(grader: Mapping[str, Any], where: str) -> Iterator[str]:
    name, weight = grader.get("name"), grader.get("weight")
    if name is not None and (not isinstance(name, str) or not name.strip()):
        yield f"{where}.name must be text; received {received(name)}."
    if weight is not None and not _number(weight):
        yield f"{where}.weight must be a finite number; received {received(weight)}."


def _field(given: Any, field: Field, where: str, depth: int) -> Iterator[str]:
    if field.kind == "graders":
        yield from _graders(given, where, depth)
    elif field.kind == "messages":
        yield from _messages(given, where)
    elif not _IS[field.kind](given) or (field.options and given not in field.options):
        hint = _mean(given, field.options) if field.options else ""
        yield f"{where} must be {_words(field)}; received {received(given)}.{hint}"
    elif isinstance(given, str) and field.kind in ("template", "schema"):
        yield from (f"{where} {clause}." for clause in templates.faults(given))
    elif field.kind == "formula":
        yield from _formula(given, where)


def _formula(text: str, where: str) -> Iterator[str]:
    try:
        parse(text)
    except FormulaError as error:
        yield f"{where}: {error}"


def _graders(given: Any, where: str, depth: int) -> Iterator[str]:
    if not isinstance(given, Mapping) or not given:
        yield f"{where} must be a mapping of names to graders; received {received(given)}."
        return
    for name, inner in given.items():
        if not isinstance(name, str) or not name.isidentifier():
            yield f"{where} has the name {name!r}; for the formula, use letters, digits and _."
        yield from faults(inner, f"{where}.{name}", depth + 1)


def _messages(given: Any, where: str) -> Iterator[str]:
    if not isinstance(given, list | tuple) or not given:
        yield f"{where} must be a list of messages; received {received(given)}."
        return
    for number, message in enumerate(given):
        here = f"{where}[{number}]"
        if not isinstance(message, Mapping) or {*message} - {"type"} != {"role", "content"}:
            yield f"{here} must have role and content; received {received(message)}."
        elif message["role"] not in _ROLES:
            roles = ", ".join(_ROLES)
            yield f"{here}.role must be one of {roles}; received {received(message['role'])}."
        elif not isinstance(message["content"], str):
            yield f"{here}.content must be text; received {received(message['content'])}."
        else:
            yield from (
                f"{here}.content {clause}." for clause in templates.faults(message["content"])
            )


def _together(grader: Mapping[str, Any], where: str) -> Iterator[str]:
    """What fields say together; only of those that are each well formed."""
    kind = grader["type"]
    if kind == "multi" and isinstance(grader.get("graders"), Mapping):
        yield from _formula_names(grader, where)
    if (
        kind == "label_model"
        and _texts(grader.get("labels"))
        and _texts(grader.get("passing_labels"))
    ):
        for label in grader["passing_labels"]:
            if label not in grader["labels"]:
                yield (
                    f"{where}.passing_labels has {label!r}, which is not among labels."
                    f"{_mean(label, grader['labels'])}"
                )
    if kind == "length" and _is_count(grader.get("at_most")):
        least = value(grader, "at_least")
        if _is_count(least) and least > grader["at_most"]:
            yield f"{where}: no length is at least {least} and at most {grader['at_most']}."
    if kind == "length" and grader.get("at_most") is None and not grader.get("at_least"):
        yield f"{where} is of the type length, which needs at_least, at_most or both."
    if isinstance(grader.get("sampling_params"), Mapping):
        yield from _sampling(grader["sampling_params"], f"{where}.sampling_params")


def _formula_names(grader: Mapping[str, Any], where: str) -> Iterator[str]:
    try:
        names = parse(str(grader.get("calculate_output"))).names
    except FormulaError:
        return
    for name in sorted(names - {*grader["graders"]}):
        yield (
            f"{where}.calculate_output has the name {name!r}, which none of the graders has."
            f"{_mean(name, grader['graders'])} They are {', '.join(map(str, grader['graders']))}."
        )


def _sampling(given: Mapping[str, Any], where: str) -> Iterator[str]:
    for name, each in given.items():
        if name not in SAMPLING:
            yield (
                f"{where} has the unknown field {name!r}.{_mean(name, SAMPLING)} It may have "
                f"{', '.join(SAMPLING)}."
            )
        elif each is not None and not _IS[SAMPLING[name]](each):
            yield f"{where}.{name} must be {_WORDS[SAMPLING[name]]}; received {received(each)}."


def _words(field: Field) -> str:
    return f"one of {', '.join(field.options)}" if field.options else _WORDS[field.kind]


def _number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


def _is_count(given: Any) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= 0


def _text(given: Any) -> bool:
    return isinstance(given, str) and bool(given)


def _texts(given: Any) -> bool:
    return isinstance(given, list | tuple) and bool(given) and all(map(_text, given))


def _range(given: Any) -> bool:
    pair = isinstance(given, list | tuple) and len(given) == 2 and all(map(_number, given))
    return pair and given[0] < given[1]


_IS: Mapping[Kind, Callable[[Any], bool]] = {
    "text": _text,
    "path": _text,
    "template": lambda given: isinstance(given, str),
    "formula": _text,
    "choice": _text,
    "not_negative": lambda given: _number(given) and given >= 0,
    "positive": lambda given: _number(given) and given > 0,
    "count": _is_count,
    "flag": lambda given: isinstance(given, bool),
    "texts": _texts,
    "object": lambda given: isinstance(given, Mapping),
    "schema": lambda given: isinstance(given, Mapping | str),
    "messages": lambda given: isinstance(given, list | tuple),
    "graders": lambda given: isinstance(given, Mapping),
    "range": _range,
}
_WORDS: Mapping[Kind, str] = {
    "text": "text",
    "path": "the path of a file",
    "template": "text, in which {{ item.NAME }} and {{ sample.output_text }} are filled in",
    "formula": "arithmetic over the names of the graders, as text",
    "not_negative": "a number of at least 0",
    "positive": "a number above 0",
    "count": "a whole number of at least 0",
    "flag": "true or false",
    "texts": "a list of texts",
    "object": "a mapping",
    "schema": "a JSON schema, or text that names the field of the row with one",
    "messages": "a list of messages",
    "range": "a list of two numbers, the lower one first",
    "graders": "a mapping of names to graders",
}
