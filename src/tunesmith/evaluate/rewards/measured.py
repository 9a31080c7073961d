"""What is measured of a reward model: a record a pair, and what else would say of the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tunesmith.core.records import Origin, Validation
from tunesmith.evaluate.labels.measured import Certificate
from tunesmith.evaluate.measure import Course

TUNED, LONGER, LIKELIER, LINEAR = "tuned", "longer", "likelier", "linear"
"""Ways to choose between two answers."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One pair: the rewards of the answer that people chose and of the one that they rejected.

    `lengths` are the tokens of both answers. `prompt` and `answers` are shown in the report.
    """

    origin: Origin
    chosen: float
    rejected: float
    lengths: tuple[int, int] = (0, 0)
    prompt: str = ""
    answers: tuple[str, str] = ("", "")

    @property
    def ahead(self) -> float:
        """The reward of the chosen answer minus that of the rejected one."""
        return self.chosen - self.rejected

    @property
    def longer(self) -> int:
        """By how many tokens the chosen answer is longer."""
        return self.lengths[0] - self.lengths[1]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Compared:
        """What `dataclasses.asdict` made of one, read again from JSON."""
        lengths, answers = tuple(value["lengths"]), tuple(value["answers"])
        origin = Origin(**value["origin"])
        return cls(**{**value, "origin": origin, "lengths": lengths, "answers": answers})


@dataclass(frozen=True, slots=True)
class Way:
    """One way to choose between the same answers; `title` names it in a sentence.

    `trained` are pairs that were trained on.
    """

    name: str
    title: str
    rows: tuple[Compared, ...]
    trained: tuple[Compared, ...] = ()
    definition: str = ""


@dataclass(frozen=True, slots=True)
class RewardMeasured:
    """All that verdict and report of a reward model of pairs are made from.

    `ways` begins with the tuned model. A difference of rewards is divided by `temperature` before
    it becomes a probability. `left` says what was not asked, and why.
    """

    ways: tuple[Way, ...] = ()
    temperature: float = 1.0
    course: Course = field(default_factory=Course)
    certificate: Certificate | None = None
    left: str = ""

    def way(self, name: str) -> Way | None:
        """The way of this name."""
        return next((each for each in self.ways if each.name == name), None)

    @property
    def held_out(self) -> tuple[Compared, ...]:
        """The pairs that judge, by the tuned model."""
        tuned = self.way(TUNED)
        return () if tuned is None else tuned.rows

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RewardMeasured:
        """What `to_json` wrote."""
        course, certificate = dict(value["course"]), value["certificate"]
        course["validations"] = tuple(Validation(**each) for each in course["validations"])
        return cls(
            ways=tuple(
                Way(**{**way, "rows": _rows(way["rows"]), "trained": _rows(way["trained"])})
                for way in value["ways"]
            ),
            temperature=value["temperature"],
            course=Course(**course),
            certificate=None if certificate is None else Certificate(**certificate),
            left=value["left"],
        )


def _rows(values: Sequence[Mapping[str, Any]]) -> tuple[Compared, ...]:
    return tuple(map(Compared.from_json, values))
