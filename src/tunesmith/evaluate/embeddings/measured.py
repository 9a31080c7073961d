"""What is measured of a model that makes vectors: a record a row, by each way to look for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tunesmith.core.records import Origin, Validation
from tunesmith.evaluate.labels.measured import Certificate
from tunesmith.evaluate.measure import Course

TUNED, BASE = "tuned", "base"


@dataclass(frozen=True, slots=True)
class Asked:
    """One row.

    `ranks` are the places, from 1, at which the texts that belong to its anchor are found among the
    candidates. For a scored pair they are empty; `score` is then the one it has, and `likeness` the
    one it is given. `text` is the anchor, `wanted` its positive, `found` what is found first.
    """

    origin: Origin
    ranks: tuple[int, ...] = ()
    score: float = 0.0
    likeness: float = 0.0
    text: str = ""
    wanted: str = ""
    found: str = ""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Asked:
        """What `dataclasses.asdict` made of one, read again from JSON."""
        return cls(**{**value, "ranks": tuple(value["ranks"]), "origin": Origin(**value["origin"])})


@dataclass(frozen=True, slots=True)
class Way:
    """One way to look for the same texts: held-out rows, and rows that were trained.

    `title` names it in a sentence.
    """

    name: str
    title: str
    rows: tuple[Asked, ...]
    trained: tuple[Asked, ...] = ()
    definition: str = ""


@dataclass(frozen=True, slots=True)
class General:
    """General text that has nothing to do with the task, by the base and by the tuned model.

    `base` and `tuned` are the ranks of the second half of each text among the second halves of all,
    asked with the first; `likeness` is the mean cosine of two different texts, by each.
    """

    base: tuple[int, ...]
    tuned: tuple[int, ...]
    likeness: tuple[float, float]


@dataclass(frozen=True, slots=True)
class EmbedMeasured:
    """All that verdict and report of an embedding run are made from.

    `ways` begins with the tuned model and its base. `candidates` is how many texts are looked
    through, `distractors` how many of them are of trained rows alone; `scored` says that rows are
    pairs with scores, which are not looked for.
    """

    scored: bool
    ways: tuple[Way, ...] = ()
    candidates: int = 0
    distractors: int = 0
    general: General | None = None
    course: Course = field(default_factory=Course)
    certificate: Certificate | None = None

    def way(self, name: str) -> Way | None:
        """The way of this name."""
        return next((each for each in self.ways if each.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EmbedMeasured:
        """What `to_json` wrote."""
        course, general = dict(value["course"]), value["general"]
        course["validations"] = tuple(Validation(**each) for each in course["validations"])
        certificate = value["certificate"]
        return cls(
            scored=value["scored"],
            ways=tuple(
                Way(**{**way, "rows": _asked(way["rows"]), "trained": _asked(way["trained"])})
                for way in value["ways"]
            ),
            candidates=value["candidates"],
            distractors=value["distractors"],
            general=None
            if general is None
            else General(*(tuple(general[name]) for name in ("base", "tuned", "likeness"))),
            course=Course(**course),
            certificate=None if certificate is None else Certificate(**certificate),
        )


def _asked(values: Sequence[Mapping[str, Any]]) -> tuple[Asked, ...]:
    return tuple(map(Asked.from_json, values))
