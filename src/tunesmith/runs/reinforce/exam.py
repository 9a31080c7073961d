"""Asking a model held-out prompts and having its answers graded, while it learns and to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.ports import Grader, RolloutSampler
from tunesmith.core.records import Grade, Prompt
from tunesmith.evaluate.preferences.measured import Way
from tunesmith.runs.preferences.ways import way
from tunesmith.runs.reinforce.collect import require_grades


@dataclass(frozen=True, slots=True)
class Examiner:
    """Answers have at most `most_tokens` and are drawn at `temperature` with one seed, so that two
    looks at one model agree."""

    grader: Grader
    most_tokens: int
    temperature: float
    seed: int

    def ask(
        self,
        sampler: RolloutSampler,
        prompts: Sequence[Prompt],
        name: str = "tuned",
        title: str = "the tuned model",
    ) -> Way:
        """One answer to each prompt, graded, in order. Raises NoGrades where none is."""
        if not prompts:
            return Way(name, title, ())
        drawn = sampler.sample(prompts, 1, self.most_tokens, self.temperature, self.seed)
        found = way(name, title, prompts, drawn, self.grader)
        require_grades([Grade(one.score, one.failed) for (one,) in found.answers])
        return found


def mean_grade(found: Way) -> float:
    """Of the answers that have one."""
    grades = _grades(found)
    return sum(grades) / len(grades)


def success_share(found: Way, success: float) -> float:
    """Of the answers that have a grade: how many have this one or a better one."""
    grades = _grades(found)
    return sum(grade >= success for grade in grades) / len(grades)


def _grades(found: Way) -> list[float]:
    return [one.score for some in found.answers for one in some if one.score is not None]
