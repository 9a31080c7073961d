"""The rows that judge under a base that is not held in 4 bits: what that costs, and a merge.

An adapter that was trained beside rounded weights has learned to make up for some of the rounding.
On the base as it was published, which it is merged into, it finds other weights than it learned
beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.core.records import Score


@dataclass(frozen=True, slots=True)
class Unquantised:
    """Scores of the rows that judge, without quantisation.

    `base` is the base alone, `tuned` is it with the trained adapter, which is what a merge gives;
    `quantize` and `dtype` are the recipe's.
    """

    quantize: str
    dtype: str
    base: tuple[Score, ...]
    tuned: tuple[Score, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Unquantised:
        """What `dataclasses.asdict` made of one, read again from JSON."""
        base, tuned = (tuple(map(Score.from_json, value[side])) for side in ("base", "tuned"))
        return cls(value["quantize"], value["dtype"], base, tuned)
