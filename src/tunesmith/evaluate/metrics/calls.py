"""Metrics of answers that call tools.

Templates write calls in many ways. Read are JSON objects that have a name and arguments, JSON
objects behind the name of a tool, elements `<function=name><parameter=key>`, and lists of calls as
Python writes them; whether that reads a template's calls is tried on the references, whose calls
are known.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tunesmith.core.records import Prompt
from tunesmith.evaluate.metrics.structured import canonical, shallow

Call = tuple[str, str]
"""The name of a function, and its arguments in canonical JSON."""

Spoken = tuple[str, Any]
"""The same with its arguments as they are spelled: an object, or the text of one."""

_ARGUMENTS = ("arguments", "parameters")
_FUNCTION = re.compile(r"<function=([^>\n]+)>(.*?)</function>", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>(.*?)</parameter>", re.DOTALL)
_LISTED = re.compile(r"\[\s*[A-Za-z_][\w.]*\(.*\)\s*\]", re.DOTALL)


def names_match(prompt: Prompt, answer: str) -> bool | None:
    """Whether the answer calls the functions that the reference calls, in any order."""
    if not prompt.tools:
        return None
    found = read_calls(answer, tool_names(prompt.tools))
    return Counter(name for name, _ in found) == Counter(call.name for call in prompt.calls)


def calls_match(prompt: Prompt, answer: str) -> bool | None:
    """Whether the answer makes the calls of the reference, with their arguments, in any order."""
    if not prompt.tools:
        return None
    return Counter(read_calls(answer, tool_names(prompt.tools))) == Counter(_wanted(prompt))


def tool_names(tools: Sequence[str]) -> list[str]:
    """The names of the functions whose schemas are given."""
    schemas = [json.loads(tool) for tool in tools]
    return [str(schema.get("function", schema).get("name")) for schema in schemas]


def read_calls(text: str, names: Sequence[str]) -> list[Call]:
    """The calls in a text, in their order; `names` are those of the tools that may be called."""
    try:
        return [(name, _canonical(arguments)) for name, arguments in spoken_calls(text, names)]
    except (ValueError, RecursionError):
        return []


def spoken_calls(text: str, names: Sequence[str]) -> list[Spoken]:
    """The calls in a text, word by word; `names` as in `read_calls`."""
    return _tagged_calls(text) or _python_calls(text) or _json_calls(text, names)


def _tagged_calls(text: str) -> list[Spoken]:
    """Values that are JSON are read as such, others are texts."""
    return [
        (name, {key: _value(value.strip()) for key, value in _PARAMETER.findall(inner)})
        for name, inner in _FUNCTION.findall(text)
    ]


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if shallow(value) else text


def _python_calls(text: str) -> list[Spoken]:
    """Literals only; nothing is executed."""
    listed = _LISTED.search(text)
    if listed is None:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            calls = ast.parse(listed[0], mode="eval").body.elts  # type: ignore[attr-defined]
        return [(ast.unparse(each.func), _keywords(each.keywords)) for each in calls]
    except (SyntaxError, ValueError, TypeError, AttributeError, RecursionError, MemoryError):
        return []


def _keywords(keywords: Sequence[ast.keyword]) -> dict[str, Any]:
    """Raises TypeError or ValueError for values that are none of JSON's."""
    found = {str(each.arg): ast.literal_eval(each.value) for each in keywords}
    json.dumps(found)
    return found


def _json_calls(text: str, names: Sequence[str]) -> list[Spoken]:
    decoder = json.JSONDecoder()
    found: list[Spoken] = []
    read = place = 0
    while (start := text.find("{", place)) >= 0:
        try:
            value, place = decoder.raw_decode(text, start)
            call = _call(value, text[read:start], names)
        except (ValueError, RecursionError):
            place = start + 1
            continue
        read = place
        if call is not None:
            found.append(call)
    return found


def _call(value: dict[str, Any], before: str, names: Sequence[str]) -> Spoken | None:
    """The call that an object is, or whose arguments it is behind the name of a tool.

    Raises ValueError or RecursionError for arguments that are a text and no JSON, or too deep.
    """
    inner = value.get("function")
    function = inner if isinstance(inner, dict) else value
    name = function.get("name")
    key = next((key for key in _ARGUMENTS if key in function), None)
    if isinstance(name, str) and key is not None:
        _canonical(function[key])
        return name, function[key]
    last = max(names, key=lambda name: (before.rfind(name), len(name)), default="")
    return (last, value) if last and last in before else None


def _wanted(prompt: Prompt) -> list[Call]:
    return [(call.name, _canonical(call.arguments)) for call in prompt.calls]


def _canonical(arguments: Any) -> str:
    # Some templates write the arguments as a text that holds JSON.
    return canonical(json.loads(arguments) if isinstance(arguments, str) else arguments)
