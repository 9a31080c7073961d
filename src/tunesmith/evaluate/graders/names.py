"""What templates and functions see of an answer: the row as `item`, the answer as `sample`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tunesmith.core.records import Answered, Grade
from tunesmith.evaluate.metrics.structured import shallow
from tunesmith.recipe.graders import templates

LOWEST = 0.0
"""What an answer is worth that lacks what a template asks of it: it was graded, and is bad."""


class Ungraded(Exception):
    """Why one answer has no grade; a finished sentence."""


def names_of(answered: Answered) -> dict[str, Any]:
    """`item` and `sample`, as templates name them.

    `output_json` is there where the answer is JSON. Raises Ungraded where the row's reference is
    not the JSON object that it has to be.
    """
    item = {"messages": messages_of(answered), **item_of(answered)}
    sample: dict[str, Any] = {"output_text": answered.text}
    found, value = _json(answered.text)
    return {"item": item, "sample": {**sample, "output_json": value} if found else sample}


def item_of(answered: Answered) -> dict[str, Any]:
    """The fields of the row beside what was asked; raises Ungraded where they are no object."""
    found, item = _json(answered.reference)
    if not found or not isinstance(item, dict):
        said = answered.reference[:60]
        raise Ungraded(
            f"{answered.origin}: the item is no JSON object; received {said!r}. Give each row its "
            "fields as one."
        )
    return item


def messages_of(answered: Answered) -> list[dict[str, str]]:
    """What was asked, as role and content."""
    return [{"role": each.role, "content": each.content} for each in answered.messages]


def filled(template: str, answered: Answered) -> str:
    """The template with its names replaced; raises Ungraded and templates.MissingName."""
    return templates.fill(template, names_of(answered))


def _json(text: str) -> tuple[bool, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False, None
    return (True, value) if shallow(value) else (False, None)


@dataclass(frozen=True, slots=True)
class Each:
    """A grader of single answers, which are independent of each other.

    `number` gives an answer its number; what it may raise is Ungraded and MissingName. `threads` is
    for those that wait for a process of their own.
    """

    number: Callable[[Answered], float]
    threads: int = 1

    def grade(self, answers: Sequence[Answered]) -> list[Grade]:
        """See `core.ports.Grader`."""
        if self.threads == 1 or len(answers) < 2:
            return [self._one(answered) for answered in answers]
        with ThreadPoolExecutor(min(self.threads, len(answers))) as pool:
            return list(pool.map(self._one, answers))

    def _one(self, answered: Answered) -> Grade:
        try:
            return Grade(float(self.number(answered)))
        except Ungraded as error:
            return Grade(None, str(error))
        except templates.MissingName as error:
            return lacking(error, answered)


def lacking(error: templates.MissingName, answered: Answered, worst: float = LOWEST) -> Grade:
    """Of a name that is not there: what the answer lacks is its own fault, not the row's."""
    return Grade(worst) if error.answers else Grade(None, f"{answered.origin}: {error}")
