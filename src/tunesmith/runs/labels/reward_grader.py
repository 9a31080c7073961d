"""A reward model as a Grader: what reinforcement, and choosing the best of n, learn from."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.core.records import Answered, Grade, Message, Rating
from tunesmith.runs.labels.ask_rewards import RewardModel, Worth
from tunesmith.runs.open import Run


class RewardGrader:
    """The Grader port over the reward model of a finished run.

    Answers are rendered as the model's training rows were. One that is empty, too long for the
    model, or that its template cannot write is not graded: the Grade says why. An answer that was
    cut off is graded as far as it goes, for whether it ended is not told of it.

    Raises as `RewardModel`.
    """

    def __init__(self, run: Run) -> None:
        self._model = RewardModel(run)

    def grade(self, answers: Sequence[Answered]) -> list[Grade]:
        """One grade an answer, in order."""
        told = self._model.worth([self._rated(each) for each in answers])
        return [
            Grade(each.reward) if isinstance(each, Worth) else Grade(None, each) for each in told
        ]

    def _rated(self, answer: Answered) -> Rating:
        asked = answer.messages
        if self._model.plain and len(asked) == 1:
            return Rating(asked[0].content, answer.text, True)
        return Rating(asked, (Message("assistant", answer.text),), True)
