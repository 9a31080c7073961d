"""The answer to one question of the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Interval, paired_change, paired_rate_change
from tunesmith.evaluate.pairing import PairedProperty
from tunesmith.evaluate.wording import plural, property_clause

# From here on intervals cover the truth about as often as they say: see benchmarks/COVERAGE.md.
MINIMUM_ROWS = 8


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer to one question. `passed` is None when it was not measured.

    `detail["summary"]` is a clause for a sentence; the rest of `detail` are the numbers behind it.
    """

    passed: bool | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str | None = None
    n: int = 0
    detail: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The keys of `verdict.json`."""
        return {
            "pass": self.passed,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
            "n": self.n,
            "detail": self.detail,
        }


def judged(passed: bool, found: Interval, unit: str, detail: dict[str, Any]) -> Judgement:
    """The answer that an interval gives; None where it stands on too few rows."""
    if found.n < MINIMUM_ROWS:
        detail["too_few"] = f"{plural(found.n, 'row')} measured, at least {MINIMUM_ROWS} needed"
    enough = found.n >= MINIMUM_ROWS
    return Judgement(
        passed if enough else None, found.value, found.low, found.high, unit, found.n, detail
    )


def unmeasured(why: str) -> Judgement:
    """No answer, and why there is none."""
    return Judgement(detail={"summary": why})


def property_change(found: PairedProperty, seed: int) -> dict[str, Any]:
    """How one property of the answers differs between two sides, with its interval."""
    change = (
        paired_rate_change(found.rows)
        if found.rate
        else paired_change(found.rows, derive(seed, "bootstrap", "property", found.name))
    )
    return {
        "name": found.name,
        "kind": "rate" if found.rate else "mean",
        "base": found.rows.base,
        "tuned": found.rows.tuned,
        "change": change.value,
        "low": change.low,
        "high": change.high,
        "n": change.n,
        "summary": property_clause(found.name, found.rows.base, found.rows.tuned, found.rate),
    }
