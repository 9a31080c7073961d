"""A judgement of a model's answers, and all that is known of how it came about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

from tunesmith.core.records import Spoken

Preferred = Literal["first", "second", "tie"]
Kind = Literal["choice", "rating", "edit"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and where it came from; "" is not known.

    `model` is what the model is called, `version` tells its weights from others of that name.
    `sampling` is the text of a JSON object with the settings that it was drawn with.
    """

    text: str
    model: str = ""
    version: str = ""
    sampling: str = "{}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of two answers is better; `first` is the one that was shown first."""

    first: Answer
    second: Answer
    preferred: Preferred


@dataclass(frozen=True, slots=True)
class Rated:
    """Whether an answer was liked."""

    answer: Answer
    liked: bool


@dataclass(frozen=True, slots=True)
class Edit:
    """An answer, and what it should have been."""

    answer: Answer
    corrected: str


Judgement = Choice | Rated | Edit


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one person said at one time.

    `person` is any label, "" for nobody in particular. `time` is in UTC as `utc` writes it; "" is
    the time at which it is stored. `id` "" follows from all the rest as it was given: what has no
    time is one feedback, however often it is said.
    """

    prompt: Spoken
    judgement: Judgement
    person: str = ""
    time: str = ""
    id: str = ""

    @property
    def kind(self) -> Kind:
        """Which kind of judgement it is."""
        if isinstance(self.judgement, Choice):
            return "choice"
        return "rating" if isinstance(self.judgement, Rated) else "edit"

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answers that it is about: two of a choice, else one."""
        said = self.judgement
        return (said.first, said.second) if isinstance(said, Choice) else (said.answer,)


def now() -> str:
    """The time as feedback has it."""
    return _written(datetime.now(timezone.utc))


def utc(text: str) -> str:
    """A time of ISO 8601 in the one spelling that sorts as a text; without a zone it is UTC.

    Raises ValueError for anything else.
    """
    given = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
    return _written(given if given.tzinfo else given.replace(tzinfo=timezone.utc))


def _written(time: datetime) -> str:
    return time.astimezone(timezone.utc).isoformat(timespec="microseconds")
