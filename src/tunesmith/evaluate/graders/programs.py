"""Graders that execute code behind walls: unit tests of the answer, and graders written in Python.

Each answer has a process of its own, with limits of time and memory (`core/sandbox`).
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace

from tunesmith.core.records import Answered
from tunesmith.core.sandbox import KINDS, Sandbox
from tunesmith.evaluate.graders.names import Each, Ungraded, filled, item_of, names_of
from tunesmith.evaluate.metrics.code import program_of
from tunesmith.recipe.graders.shapes import GraderJson, value

PYTHON_SECONDS = 10.0
"""What a grader written in Python may take for one answer."""

_AT_ONCE = max(1, min(4, os.cpu_count() or 1))

_CALL = """
import json as _json
_given = _json.loads({given!r})
_value = grade(_given["sample"], _given["item"])
if not isinstance(_value, (int, float)):
    raise TypeError(f"grade returned {{_value!r}}, which is no number"[:200])
told = repr(float(_value))
"""


def tests(grader: GraderJson, sandbox: Sandbox) -> Each:
    """1 if the answer's code passes its tests, 0 if it fails, ends early, or uses up its limits."""
    template = value(grader, "tests")
    limited = replace(sandbox, limits=replace(sandbox.limits, seconds=value(grader, "seconds")))

    def number(answered: Answered) -> float:
        wanted = _tests(answered) if template is None else filled(template, answered)
        if not wanted.strip():
            raise Ungraded(
                f"{answered.origin}: the row has no tests, so nothing is known of its code. Give "
                "it Python statements that raise where the code is wrong."
            )
        return float(limited.run(program_of(answered.text), wanted).passed)

    return Each(number, _AT_ONCE)


def _tests(answered: Answered) -> str:
    return answered.tests or str(item_of(answered).get("tests") or "")


def python(grader: GraderJson, sandbox: Sandbox) -> Each:
    """What `grade(sample, item)` of the grader's own source returns, behind walls, too."""
    source = grader["source"]
    name = grader.get("name") or "python"
    limited = replace(sandbox, limits=replace(sandbox.limits, seconds=PYTHON_SECONDS))

    def number(answered: Answered) -> float:
        given = json.dumps(names_of(answered))
        ended = limited.run(source, _CALL.format(given=given))
        if not ended.passed:
            said = f" ({ended.said})" if ended.said else ""
            raise Ungraded(
                f"{answered.origin}: the Python of the grader {name} {KINDS[ended.kind]}{said}. "
                "It must define grade(sample, item) and return a number for every answer."
            )
        found = _number(ended.said)
        if not math.isfinite(found):
            raise Ungraded(
                f"{answered.origin}: the Python of the grader {name} returned {found}. Make it "
                "return a finite number for every answer."
            )
        return found

    return Each(number, _AT_ONCE)


def _number(said: str) -> float:
    try:
        return float(said)
    except ValueError:
        return math.nan
