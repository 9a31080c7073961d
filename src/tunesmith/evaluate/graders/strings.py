"""The grader `string_check`: a text beside its reference, by one of four operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tunesmith.core.records import Answered
from tunesmith.evaluate.graders.names import filled
from tunesmith.evaluate.graders.verifiers import OfAnswered
from tunesmith.recipe.graders.shapes import GraderJson

OPERATIONS: Mapping[str, Callable[[str, str], bool]] = {
    "eq": lambda text, reference: text == reference,
    "ne": lambda text, reference: text != reference,
    "like": lambda text, reference: reference in text,
    "ilike": lambda text, reference: reference.casefold() in text.casefold(),
}
"""Equal, different, containing, and containing without regard to case."""


def string_check(grader: GraderJson) -> OfAnswered:
    """1 where the operation holds of `input` and `reference`, else 0."""
    holds = OPERATIONS[grader["operation"]]

    def number(answered: Answered) -> float:
        text, reference = (filled(grader[name], answered) for name in ("input", "reference"))
        return float(holds(text, reference))

    return number
