"""What a judge model said of pairs of answers, as it is kept in measured.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tunesmith.core.records import Origin

Choice = Literal["one", "other", "tie", "unread", "same"]
"""Which of two answers a reply prefers. `unread`: the reply could not be read; `same`: the two are
the same text, so nobody was asked."""

Preferred = Literal["one", "other", "tie"]


@dataclass(frozen=True, slots=True)
class Duel:
    """Two answers to one question, judged twice: `straight` where `one` was read first, `swapped`
    where the other was. The lengths are in characters."""

    origin: Origin
    straight: Choice
    swapped: Choice
    length_one: int
    length_other: int

    @property
    def asked(self) -> bool:
        """Whether the judge was asked at all."""
        return self.straight != "same"

    @property
    def read(self) -> bool:
        """Whether both replies say what is preferred."""
        return "unread" not in (self.straight, self.swapped)

    @property
    def consistent(self) -> bool:
        """Whether the order of the answers made no difference."""
        return self.straight == self.swapped

    @property
    def winner(self) -> Preferred:
        """What is preferred in both orders; a verdict that changes with the order is a tie, as in
        Zheng et al. 2023, Judging LLM-as-a-Judge, section 3.4."""
        if self.straight == "one" == self.swapped:
            return "one"
        return "other" if self.straight == "other" == self.swapped else "tie"


@dataclass(frozen=True, slots=True)
class Contest:
    """The tuned model's answers (`one` of each duel) against those of `name`: base, or a baseline.

    `title` says it in words: "the base with 4 examples in its prompt".
    """

    name: str
    title: str
    duels: tuple[Duel, ...]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A pair that people compared, as the judge compares it."""

    duel: Duel
    preferred: Preferred


@dataclass(frozen=True, slots=True)
class Judged:
    """All that a judge was asked. `why` says why nothing came of it, "" where something did.

    `decides` says that the user lets it fail a run, `rubric` is what it was told to look for.
    """

    model: str
    host: str
    rubric: str = ""
    contests: tuple[Contest, ...] = ()
    labels: tuple[Labelled, ...] = ()
    decides: bool = False
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Judged:
        """What `to_json` wrote."""
        contests = tuple(
            Contest(each["name"], each["title"], tuple(map(_duel, each["duels"])))
            for each in value["contests"]
        )
        labels = tuple(Labelled(_duel(each["duel"]), each["preferred"]) for each in value["labels"])
        return cls(**{**value, "contests": contests, "labels": labels})


def _duel(value: Mapping[str, Any]) -> Duel:
    return Duel(**{**value, "origin": Origin(**value["origin"])})
