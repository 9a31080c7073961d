"""What is measured of a model that learned from grades: its answers to prompts, graded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tunesmith.core.records import Origin, Score, Validation
from tunesmith.evaluate.labels.measured import Certificate
from tunesmith.evaluate.measure import Course


@dataclass(frozen=True, slots=True)
class Graded:
    """One prompt, what was answered, and its grade, None where it has none and `failed` says why.

    `asked` is the last message of the prompt; `tokens` is the length of the answer.
    """

    origin: Origin
    asked: str
    answer: str
    grade: float | None
    failed: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    tokens: int = 0

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Graded:
        """What `dataclasses.asdict` made of one, read again from JSON."""
        return cls(**{**value, "origin": Origin(**value["origin"])})


@dataclass(frozen=True, slots=True)
class Exam:
    """What was measured of one model: answers to prompts that judge, and to some that were learned
    from; general probes; and texts that the base wrote, the same under both."""

    held_out: tuple[Graded, ...] = ()
    trained: tuple[Graded, ...] = ()
    probes: tuple[Score, ...] = ()
    samples: tuple[Score, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Exam:
        """What `to_json` wrote."""
        return cls(
            _graded(value["held_out"]),
            _graded(value["trained"]),
            _scores(value["probes"]),
            _scores(value["samples"]),
        )


@dataclass(frozen=True, slots=True)
class ReinforceMeasured:
    """All that verdict and report are made from.

    `success` is the grade from which an answer is one; `tokens_sampled` are those that were written
    to learn from.
    """

    base: Exam
    tuned: Exam
    success: float
    course: Course = field(default_factory=Course)
    certificate: Certificate | None = None
    tokens_sampled: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ReinforceMeasured:
        """What `to_json` wrote."""
        course, certificate = dict(value["course"]), value["certificate"]
        course["validations"] = tuple(Validation(**each) for each in course["validations"])
        return cls(
            Exam.from_json(value["base"]),
            Exam.from_json(value["tuned"]),
            value["success"],
            Course(**course),
            None if certificate is None else Certificate(**certificate),
            value["tokens_sampled"],
        )


def both(
    base: Sequence[Graded], tuned: Sequence[Graded]
) -> tuple[tuple[Graded, ...], tuple[Graded, ...]]:
    """The prompts whose answers have a grade on both sides."""
    pairs = [
        (before, after)
        for before, after in zip(base, tuned, strict=True)
        if before.grade is not None and after.grade is not None
    ]
    return tuple(before for before, _ in pairs), tuple(after for _, after in pairs)


def _graded(values: Sequence[Mapping[str, Any]]) -> tuple[Graded, ...]:
    return tuple(map(Graded.from_json, values))


def _scores(values: Sequence[Mapping[str, Any]]) -> tuple[Score, ...]:
    return tuple(map(Score.from_json, values))
