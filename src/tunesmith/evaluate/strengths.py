"""What was measured of a tuned model at several strengths, and the one it was saved with.

At strength s a weight is (1 − s) times that of the base and s times the tuned one, and an adapter
adds s·(alpha/r)·B·A to its layer, so 0 is the base and 1 is what was trained. Between base and
tuned weights lie models that keep most of the gain and lose less of what the base knew: Wortsman et
al. 2022, Robust fine-tuning of zero-shot models, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.core.records import Score


@dataclass(frozen=True, slots=True)
class AtStrength:
    """The model at one strength: rows that choose (none that judges), and probes."""

    strength: float
    choosing: tuple[Score, ...]
    probes: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Frontier:
    """Gain and loss of one tuned model by strength.

    `measured` is in ascending order and begins with strength 0, the base. `most_forgetting` is what
    the recipe allows, as a share of the base's loss; None where it leaves the strength alone.
    `saved` is the strength of the saved model.
    """

    measured: tuple[AtStrength, ...]
    most_forgetting: float | None = None
    saved: float = 1.0

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Frontier:
        """What `dataclasses.asdict` made of one, read again from JSON."""
        measured = tuple(
            AtStrength(
                each["strength"],
                tuple(map(Score.from_json, each["choosing"])),
                tuple(map(Score.from_json, each["probes"])),
            )
            for each in value["measured"]
        )
        return cls(measured, value["most_forgetting"], value["saved"])
