"""Texts with names in double braces, as `The answer is {{ item.answer }}.`

`sample` is what the model said, `item` the row. Names are followed through mappings and lists and
nothing else is carried out: there are no filters, no calls and no statements.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

SAMPLE = ("output_text", "output_json")
"""What a sample has: the answer as text, and as the JSON that it is."""

_BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_PATH = re.compile(r"\w+(?:\.[\w\-]+|\[(?:\d+|'[^'\]]*'|\"[^\"\]]*\")\])*")
_STEP = re.compile(r"\.?([\w\-]+)|\[(?:(\d+)|'([^'\]]*)'|\"([^\"\]]*)\")\]")
_SHOWN = 8


class MissingName(LookupError):
    """A name that is not there; a finished sentence. `answers` says that the answer lacks it."""

    def __init__(self, sentence: str, *, answers: bool) -> None:
        super().__init__(sentence)
        self.answers = answers


def faults(template: str) -> Iterator[str]:
    """What no row could make good: each a clause that goes on from where the template stands."""
    if "{%" in template or "{#" in template:
        yield "has a statement ({% %} or {# #}), and only names in {{ }} are filled in"
    for found in _BRACES.finditer(template):
        inside = found[1].strip()
        if not _PATH.fullmatch(inside):
            yield (
                f"has {found[0]!r}, and between the braces stands a name alone, as in "
                "{{ item.answer }} or {{ sample.output_text }}"
            )
            continue
        first, *rest = _steps(inside)
        if first not in ("item", "sample"):
            yield f"has {found[0]!r}; names begin with item (the row) or sample (the answer)"
        elif first == "item" and not rest:
            yield f"has {found[0]!r}; say which field of the row, as in {{{{ item.answer }}}}"
        elif first == "sample" and (not rest or rest[0] not in SAMPLE):
            yield f"has {found[0]!r}; a sample has {' and '.join(SAMPLE)}"
    left = _BRACES.sub("", template)
    if "{{" in left or "}}" in left:
        yield "has double braces that are not closed or not opened"


def fill(template: str, names: Mapping[str, Any]) -> str:
    """The text with its names replaced; what is no text stands in it as JSON.

    Raises MissingName.
    """
    return _BRACES.sub(lambda found: _text(_look_up(found[1].strip(), names)), template)


def value_of(template: str, names: Mapping[str, Any]) -> Any:
    """What a template that is one name alone stands for, in its own type; else the filled text."""
    alone = _BRACES.fullmatch(template.strip())
    return _look_up(alone[1].strip(), names) if alone else fill(template, names)


def _look_up(path: str, names: Mapping[str, Any]) -> Any:
    value: Any = names
    walked = ""
    for step in _steps(path):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif _is_list(value) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise _missing(path, step, walked, value)
        walked = f"{walked}.{step}" if walked else step
    return value


def _missing(path: str, step: str, walked: str, value: Any) -> MissingName:
    answers = walked.startswith("sample")
    inside = walked.partition(".")[2]
    whole = "the answer" if answers else "the row"
    where = f"{inside} of {whole}" if inside else whole
    if isinstance(value, Mapping):
        names = [str(name) for name in value]
        close = get_close_matches(step, names, n=1)
        mean = f"Did you mean {close[0]}? " if close else ""
        hint = f"{mean}It has {', '.join(names[:_SHOWN]) or 'no fields'}"
    elif _is_list(value):
        hint = f"It is a list of {len(value)}, counted from 0"
    else:
        hint = "It is no object or list"
    sentence = f"{{{{ {path} }}}}: there is no {step} in {where}. {hint}."
    return MissingName(sentence, answers=answers)


def _steps(path: str) -> list[str]:
    return [next(part for part in parts if part) for parts in _STEP.findall(path)]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
