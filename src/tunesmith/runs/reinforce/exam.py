"""Asking a model held-out prompts and having its answers graded, while it learns and to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.ports import Grader, RolloutSampler
from tunesmith.core.records import Prompt
from tunesmith.evaluate.reinforcement.measured import Graded
from tunesmith.runs.reinforce.collect import answered, require_grades


@dataclass(frozen=True, slots=True)
class Examiner:
    """Answers have at most `most_tokens` and are drawn at `temperature` with one seed, so that two
    looks at one model agree."""

    grader: Grader
    most_tokens: int
    temperature: float
    seed: int

    def ask(self, sampler: RolloutSampler, prompts: Sequence[Prompt]) -> tuple[Graded, ...]:
        """The answers to the prompts, graded, in order. Raises NoGrades where none is."""
        if not prompts:
            return ()
        found = sampler.sample(prompts, 1, self.most_tokens, self.temperature, self.seed)
        pairs = [(prompt, answer) for prompt, (answer,) in zip(prompts, found, strict=True)]
        grades = self.grader.grade([answered(*pair) for pair in pairs])
        require_grades(grades)
        return tuple(
            Graded(
                origin=prompt.origin,
                asked=prompt.messages[-1].content if prompt.messages else "",
                answer=answer.text,
                grade=grade.value,
                failed=grade.failed,
                parts=grade.parts,
                tokens=len(answer.ids_N),
            )
            for (prompt, answer), grade in zip(pairs, grades, strict=True)
        )


def mean_grade(rows: Sequence[Graded]) -> float:
    """Of those that have one."""
    found = [row.grade for row in rows if row.grade is not None]
    return sum(found) / len(found)


def success_share(rows: Sequence[Graded], success: float) -> float:
    """Of those that have a grade: how many have this one or a better one."""
    found = [row.grade for row in rows if row.grade is not None]
    return sum(grade >= success for grade in found) / len(found)
