"""The act that tries a grader on one answer, and says of what kind each failure is. No torch."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from tunesmith.core.sandbox import Sandbox, open_sandbox
from tunesmith.evaluate.graders import Tools
from tunesmith.evaluate.graders import run as grade
from tunesmith.evaluate.graders import validate as faults_of
from tunesmith.recipe.graders import SHAPES, templates, walk

Failure = Literal["variable", "sample", "code", "formula", "other"]
"""A name that the item lacks; an answer that is no JSON where it must be; code that failed; a
formula without a value; anything else."""

SECONDS = 10.0
"""What code of a grader may take."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What one answer was graded: `reward` None where it could not be.

    `parts` are the numbers of graders inside, by their names. `failures` say what went wrong, by
    kind; of an answer that is no JSON that is so beside a reward.
    """

    reward: float | None
    parts: Mapping[str, float]
    seconds: float
    failures: Mapping[Failure, str]


def grader_faults(grader: Any) -> list[str]:
    """What is wrong with a grader, in finished sentences. Code is not run, and nobody asked."""
    return faults_of(grader)


def try_grader(grader: Mapping[str, Any], item: Mapping[str, Any], sample: str) -> Trial:
    """Grade one answer; the grader must be well formed, and ask no model.

    Raises Unsupported where it runs code and this machine has no walls.
    """
    runs = any(SHAPES[each["type"]].needs == "run_code" for each in walk(grader))
    tools = Tools(_walls() if runs else None)
    began = time.perf_counter()
    given = grade(grader, item, sample, tools)
    seconds = time.perf_counter() - began
    failures = dict(_unread(grader, sample))
    if given.value is None:
        failures |= dict(_causes(grader, item, sample, tools)) or {"other": given.failed}
    return Trial(given.value, given.parts, seconds, failures)


@cache
def _walls() -> Sandbox:
    sandbox = open_sandbox(key="python_graders")
    return replace(sandbox, limits=replace(sandbox.limits, seconds=SECONDS))


def _unread(grader: Mapping[str, Any], sample: str) -> Iterator[tuple[Failure, str]]:
    """Whether the grader looks into JSON that the answer is not."""
    if "output_json" not in json.dumps(grader, default=str):
        return
    try:
        json.loads(sample)
    except (ValueError, RecursionError):
        yield "sample", "The answer is no JSON, and the grader looks into sample.output_json."


def _causes(
    grader: Mapping[str, Any], item: Mapping[str, Any], sample: str, tools: Tools
) -> Iterator[tuple[Failure, str]]:
    """Why there is no grade: each grader inside is asked by itself."""
    if grader["type"] == "multi":
        found = [
            cause
            for each in grader["graders"].values()
            for cause in _causes(each, item, sample, tools)
        ]
        yield from found or [("formula", grade(grader, item, sample, tools).failed)]
        return
    given = grade(grader, item, sample, tools)
    if given.value is None:
        runs = SHAPES[grader["type"]].needs == "run_code"
        lacks = _lacks_a_name(grader, item, sample)
        yield "code" if runs else "variable" if lacks else "other", given.failed


def _lacks_a_name(grader: Mapping[str, Any], item: Mapping[str, Any], sample: str) -> bool:
    names = {"item": item, "sample": {"output_text": sample, "output_json": {}}}
    for name, field in SHAPES[grader["type"]].fields.items():
        if field.kind == "template" and isinstance(written := grader.get(name), str):
            try:
                templates.fill(written, names)
            except templates.MissingName as error:
                if not error.answers:
                    return True
    return False
