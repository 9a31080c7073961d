"""What `tunesmith improve` is asked for beside its recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tunesmith.core.errors import RecipeError

LONGEST = 256
"""Tokens of an answer, where nothing is said and the context has room."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How answers are drawn and which of them are learned.

    `answers` are drawn to each prompt, at `temperature`, of at most `max_new_tokens` (None:
    LONGEST, or what the longest prompt leaves of the context). Accepted are those of the reward
    `at_least` or more (None: whatever their reward), of which the best `keep` to each prompt are
    learned. There are `rounds` at most.
    """

    answers: int = 8
    keep: int = 2
    rounds: int = 3
    at_least: float | None = 1.0
    temperature: float = 1.0
    max_new_tokens: int | None = None

    def require_sound(self) -> None:
        """Raises RecipeError for numbers that nothing could be learned with."""
        for option, number in (
            ("--answers", self.answers),
            ("--keep", self.keep),
            ("--rounds", self.rounds),
            ("--max-new-tokens", self.max_new_tokens),
        ):
            if number is not None and number < 1:
                raise RecipeError(f"{option} {number}: give a whole number of 1 or more.")
        if self.keep > self.answers:
            raise RecipeError(
                f"--keep {self.keep}: only {self.answers} answers are drawn to each prompt. Lower "
                "--keep, or raise --answers."
            )
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise RecipeError(
                f"--temperature {self.temperature:g}: give a number above 0. At 0 all answers to a "
                "prompt would be the same."
            )
        if self.at_least is not None and not math.isfinite(self.at_least):
            raise RecipeError(
                f"--at-least {self.at_least:g}: give the reward from which an answer is accepted, "
                "or any, which accepts the best answers whatever their reward."
            )
        if self.at_least is None and self.keep == self.answers:
            raise RecipeError(
                f"--at-least any keeps the best answers, and --keep {self.keep} keeps all "
                f"{self.answers} that are drawn. Lower --keep, or name a reward."
            )
