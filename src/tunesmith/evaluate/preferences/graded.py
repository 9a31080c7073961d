"""The answers that have a grade, prompt by prompt, and their features in numbers.

Shape legend: R prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.evaluate.bootstrap import Floats
from tunesmith.evaluate.preferences.features import Feature
from tunesmith.evaluate.preferences.measured import Asked, Drawn, Way
from tunesmith.evaluate.preferences.wins import ScoreOf

Side = Sequence[Sequence[Drawn]]
"""The answers of one model to each prompt."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The graded answers to those prompts that have some on both sides."""

    asked: Sequence[Asked]
    base: Side
    tuned: Side
    score: ScoreOf

    @property
    def gain(self) -> Floats:
        """The mean score of the tuned answers minus that of the base's (R)."""
        before, after = (self.scores(side) for side in (self.base, self.tuned))
        return _means(after) - _means(before)

    def change(self, feature: Feature) -> Floats:
        """How much more of the feature the tuned answers have in the mean (R)."""
        before, after = (self.values(feature, side) for side in (self.base, self.tuned))
        return _means(after) - _means(before)

    def values(self, feature: Feature, side: Side) -> list[Floats]:
        """The feature of each answer, prompt by prompt."""
        pairs = zip(self.asked, side, strict=True)
        return [
            np.array([feature.value(one, asked.messages) for one in answers])
            for asked, answers in pairs
        ]

    def scores(self, side: Side) -> list[Floats]:
        """The score of each answer, prompt by prompt."""
        return [np.array([self.score(one) for one in answers], np.float64) for answers in side]


def graded(prompts: Sequence[Asked], base: Way, tuned: Way, score: ScoreOf) -> Answers:
    """The answers that `score` has a number for."""
    kept: list[tuple[Asked, Sequence[Drawn], Sequence[Drawn]]] = []
    for asked, *both in zip(prompts, base.answers, tuned.answers, strict=True):
        before, after = ([one for one in each if score(one) is not None] for each in both)
        if before and after:
            kept.append((asked, before, after))
    return Answers(
        [asked for asked, _, _ in kept],
        [before for _, before, _ in kept],
        [after for _, _, after in kept],
        score,
    )


def _means(values: Sequence[Floats]) -> Floats:
    return np.array([each.mean() for each in values])
