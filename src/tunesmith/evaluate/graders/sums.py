"""Graders put together: by weights, or by a formula. What each part said is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tunesmith.core.ports import Grader
from tunesmith.core.records import Answered, Grade
from tunesmith.recipe.graders.formula import Formula, FormulaError


@dataclass(frozen=True, slots=True)
class Together:
    """Several graders of the same answers; `total` makes one number of theirs.

    An answer that one of them could not grade has no grade: what is missing is never taken for a 0.
    The numbers of the others stand in its parts all the same.
    """

    graders: Mapping[str, Grader]
    total: Callable[[Mapping[str, float]], float]

    def grade(self, answers: Sequence[Answered]) -> list[Grade]:
        """See `core.ports.Grader`."""
        of_each = {name: each.grade(answers) for name, each in self.graders.items()}
        return [
            self._put_together({name: grades[place] for name, grades in of_each.items()}, answered)
            for place, answered in enumerate(answers)
        ]

    def _put_together(self, grades: Mapping[str, Grade], answered: Answered) -> Grade:
        values = {name: each.value for name, each in grades.items() if each.value is not None}
        inner = {
            f"{name}.{part}": number
            for name, each in grades.items()
            for part, number in each.parts.items()
        }
        parts = {**values, **inner}
        failed = [f"{name}: {each.failed}" for name, each in grades.items() if each.value is None]
        if failed:
            return Grade(None, " ".join(failed), parts)
        try:
            return Grade(self.total(values), "", parts)
        except FormulaError as error:
            return Grade(None, f"{answered.origin}: {error}", parts)


def weighted(graders: Mapping[str, Grader], weights: Mapping[str, float]) -> Together:
    """The sum of all numbers, each times its weight."""
    return Together(
        graders, lambda values: sum(weights[name] * number for name, number in values.items())
    )


def calculated(graders: Mapping[str, Grader], formula: Formula) -> Together:
    """What the formula makes of the numbers."""
    return Together(graders, formula)
