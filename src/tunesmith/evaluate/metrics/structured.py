"""Metrics of answers that are JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tunesmith.core.records import Prompt
from tunesmith.evaluate.metrics.texts import normal

_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?```", re.DOTALL | re.IGNORECASE)
_DEEPEST = 200


def document(text: str) -> Any:
    """The object or array that a text is, in one Markdown code fence or none; else None."""
    _, value = parsed(text)
    return value if isinstance(value, dict | list) else None


def parsed(text: str) -> tuple[bool, Any]:
    """Whether a text is one JSON value, in one Markdown code fence or none, and that value."""
    bare = text.strip()
    fenced = _FENCE.fullmatch(bare)
    try:
        value = json.loads(fenced[1] if fenced else bare, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False, None
    return (True, value) if shallow(value) else (False, None)


def valid(prompt: Prompt, answer: str) -> bool | None:
    """Whether the answer is a JSON object or array, where the reference is one."""
    return None if document(prompt.answer) is None else document(answer) is not None


def field_f1(prompt: Prompt, answer: str) -> float | None:
    """The F1 of the answer's fields against the reference's; 0 where the answer is not JSON."""
    wanted, given = document(prompt.answer), document(answer)
    if wanted is None:
        return None
    if given is None:
        return 0.0
    theirs, ours = Counter(_fields(wanted)), Counter(_fields(given))
    total = theirs.total() + ours.total()
    return 2 * (theirs & ours).total() / total if total else 1.0


def canonical(value: Any) -> str:
    """One text for equal values: keys in order, 1.0 as 1, texts normalised."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False)


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each value that holds no other, with its path; places in an array are not told apart."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _fields(inner, f"{path}.{normal(key)}")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _fields(inner, f"{path}[]")
    else:
        yield path, canonical(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {normal(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, str):
        return normal(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shallow(value: Any, depth: int = 0) -> bool:
    """Whether a value can be walked by functions that call themselves once a level."""
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth < _DEEPEST and all(shallow(each, depth + 1) for each in inner)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
