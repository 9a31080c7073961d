"""The metric of answers that are programs: whether they pass the tests of their row."""

from __future__ import annotations

import re

from tunesmith.core.records import Prompt
from tunesmith.core.sandbox import Outcome, Sandbox

_FENCE = re.compile(r"(?ms)^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)")
_PYTHON = {"python", "py", "python3"}


def outcome(prompt: Prompt, answer: str, sandbox: Sandbox) -> Outcome | None:
    """How the answer's code ended behind the tests of its row; None where the row has none."""
    return sandbox.run(program_of(answer), prompt.tests) if prompt.tests else None


def program_of(answer: str) -> str:
    """The first Markdown fence that is Python, else the first fence, else the whole answer.

    A fence that is never closed, as where an answer was cut off, goes to the end.
    """
    fences = _FENCE.findall(answer)
    named = [code for language, code in fences if language.lower() in _PYTHON]
    return next(iter([*named, *(code for _, code in fences)]), answer)
