"""What is measured of a model that labels: a record a row, and what else would say of the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tunesmith.core.records import Origin, Validation
from tunesmith.evaluate.measure import Course


@dataclass(frozen=True, slots=True)
class Said:
    """One row: the labels `wanted` and `said`, and how sure the model was (0 to 1).

    For a number `wanted` and `said` are its text, and `sure` is 1. `ids` are those of the row's
    tokens, by which serving is held against training; `text` is shown in the report. Where words
    are tagged, `wanted` and `said` are a tag for each of the `words`. `picture` is a small image as
    a data URI.
    """

    origin: Origin
    wanted: tuple[str, ...]
    said: tuple[str, ...]
    sure: float = 1.0
    text: str = ""
    words: tuple[str, ...] = ()
    picture: str = ""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Said:
        """What `dataclasses.asdict` made of one, read again from JSON."""
        listed = {name: tuple(value.get(name, ())) for name in ("wanted", "said", "words")}
        return cls(**{**value, **listed, "origin": Origin(**value["origin"])})


@dataclass(frozen=True, slots=True)
class Rival:
    """Another way to label the same rows, without this training. `title` names it in a sentence."""

    name: str
    title: str
    rows: tuple[Said, ...]
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the stated probabilities can be believed.

    `before` and `after` are the expected calibration error without and with the `temperature`;
    `bins` are (mean probability, share right, rows) of the rows with it.
    """

    temperature: float
    before: float
    after: float
    bins: tuple[tuple[float, float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Certificate:
    """The saved model opened afresh against the one that was trained.

    `max_difference` is the largest one between two probabilities (or numbers) of one row.
    """

    max_difference: float
    rows: int
    same_ids: int
    tolerance: float


@dataclass(frozen=True, slots=True)
class LabelMeasured:
    """All that verdict and report of a labelling run are made from."""

    problem: str
    names: tuple[str, ...]
    held_out: tuple[Said, ...] = ()
    trained: tuple[Said, ...] = ()
    rivals: tuple[Rival, ...] = ()
    course: Course = field(default_factory=Course)
    calibration: Calibration | None = None
    certificate: Certificate | None = None
    threshold: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LabelMeasured:
        """What `to_json` wrote."""
        course = dict(value["course"])
        course["validations"] = tuple(Validation(**each) for each in course["validations"])
        calibration, certificate = value["calibration"], value["certificate"]
        return cls(
            problem=value["problem"],
            names=tuple(value["names"]),
            held_out=_said(value["held_out"]),
            trained=_said(value["trained"]),
            rivals=tuple(
                Rival(**{**each, "rows": _said(each["rows"])}) for each in value["rivals"]
            ),
            course=Course(**course),
            calibration=None
            if calibration is None
            else Calibration(
                **{**calibration, "bins": tuple(tuple(each) for each in calibration["bins"])}
            ),
            certificate=None if certificate is None else Certificate(**certificate),
            threshold=value["threshold"],
        )


def _said(values: Sequence[Mapping[str, Any]]) -> tuple[Said, ...]:
    return tuple(map(Said.from_json, values))
