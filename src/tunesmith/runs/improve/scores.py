"""How well held-out prompts are answered: as numbers with intervals, and in a sentence.

Shape legend: R held-out prompts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.evaluate.bootstrap import (
    Interval,
    PairedRows,
    paired_change,
    paired_rate_change,
    rate,
)
from tunesmith.evaluate.wording import number, percent
from tunesmith.runs.improve.choosing import Sampled

Answers = Sequence[Sampled]


class Scale:
    """What an answer counts: 1 if its reward is enough (`at_least`) and else 0, which makes a mean
    the share of successes; or, where every reward is accepted (None), its reward."""

    def __init__(self, at_least: float | None, seed: int) -> None:
        self._at_least = at_least
        self._seed = seed

    @property
    def rate(self) -> bool:
        """Whether a mean is a share."""
        return self._at_least is not None

    @property
    def name(self) -> str:
        """What a mean of it is called."""
        return "success" if self.rate else "reward"

    def mean(self, answers: Answers) -> tuple[float, float]:
        """Of the answers that have a grade; and their mean reward, which tells equal ones apart."""
        value_R = self._values(answers)
        graded_R = ~np.isnan(value_R)
        rewards = [each.reward for each in answers if each.grade.value is not None]
        return float(value_R[graded_R].mean()), float(np.mean(rewards))

    def level(self, answers: Answers) -> Interval:
        """The mean with its interval."""
        value_R = self._values(answers)
        value_R = value_R[~np.isnan(value_R)]
        if self._at_least is not None:
            return rate(int(value_R.sum()), len(value_R))
        rows = PairedRows(np.zeros(len(value_R)), value_R, np.ones(len(value_R)))
        return paired_change(rows, self._seed)

    def change(self, before: Answers, after: Answers) -> Interval | None:
        """After minus before, over the prompts with a grade on both sides; None without any."""
        before_R, after_R = self._values(before), self._values(after)
        both_R = ~(np.isnan(before_R) | np.isnan(after_R))
        if not both_R.any():
            return None
        rows = PairedRows(before_R[both_R], after_R[both_R], np.ones(int(both_R.sum())))
        return paired_rate_change(rows) if self.rate else paired_change(rows, self._seed)

    def words(self, value: float) -> str:
        """A value as it is read."""
        return percent(value) if self.rate else number(value)

    def _values(self, answers: Answers) -> np.ndarray:
        """Of each prompt (R), NaN where its answer has no grade."""
        least = self._at_least
        return np.array(
            [
                np.nan
                if each.grade.value is None
                else each.reward
                if least is None
                else float(each.reward >= least)
                for each in answers
            ]
        )


def require_graded(answers: Answers, where: str) -> None:
    """Raises DataError where not one answer has a grade, with the commonest reason."""
    if any(each.grade.value is not None for each in answers):
        return
    raise DataError(
        f"None of {len(answers)} answers {where} could be graded: {why_not(answers)} Put the "
        "reward right; `tunesmith grade` tries one on answers that are there."
    )


def why_not(answers: Answers) -> str:
    """The commonest reason why answers have no grade; "" where all have one."""
    reasons = Counter(each.grade.failed for each in answers if each.grade.value is None)
    return next((reason for reason, _ in reasons.most_common(1)), "")


def sentence(scale: Scale, levels: Sequence[Interval], best: int, change: Interval | None) -> str:
    """What came of it: of the held-out answers of each round, the best round, and its gain."""
    first = _level(scale, levels[0])
    if len(levels) == 1:
        return f"The model answers as well as can be: its held-out {scale.name} is {first}."
    if change is None:
        return (
            f"No round did better than the model it began with, whose held-out {scale.name} is "
            f"{first}."
        )
    many, times, digits = ("points", 100, "+.1f") if scale.rate else ("", 1, "+.3g")
    gain, low, high = (
        format(times * each, digits) for each in (change.value, change.low, change.high)
    )
    chance = "" if change.low > 0 else " That may be chance: the interval of the change holds 0."
    return (
        f"Held-out {scale.name} went from {first} to {_level(scale, levels[best])} in round {best} "
        f"({' '.join(filter(None, (gain, many)))}, {low} to {high}).{chance}"
    )


def _level(scale: Scale, found: Interval) -> str:
    return f"{scale.words(found.value)} ({scale.words(found.low)} to {scale.words(found.high)})"
