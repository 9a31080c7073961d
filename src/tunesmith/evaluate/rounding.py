"""What it costs that the base was held in 4 bits, and what a merge would change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunesmith.core.records import Score
from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import paired_change
from tunesmith.evaluate.measure import Side
from tunesmith.evaluate.pairing import pair_scores, unit_of
from tunesmith.evaluate.unquantised import Unquantised
from tunesmith.evaluate.wording import number


def rounding(found: Unquantised, base: Side, tuned: Side, seed: int) -> dict[str, Any]:
    """Losses of base and tuned model, quantised and not, as they stand in JSON, and in a clause.

    The intervals are of quantised minus unquantised.
    """
    unit = unit_of(found.base, base.held_out)
    before = _change(found.base, base.held_out, unit, derive(seed, "bootstrap", "rounded base"))
    after = _change(found.tuned, tuned.held_out, unit, derive(seed, "bootstrap", "rounded tuned"))
    return {
        "base": before,
        "tuned": after,
        "unit": unit,
        "n": before["n"],
        "summary": (
            f"held in {found.quantize}, the base itself needs {number(before['quantised'])} {unit} "
            f"where it needs {number(before['unquantised'])} in {found.dtype} (difference "
            f"{_interval(before)}); with the adapter it is {number(after['quantised'])}, and "
            f"{number(after['unquantised'])} on the base in {found.dtype}, as after a merge "
            f"(difference {_interval(after)})"
        ),
    }


def _change(
    unquantised: Sequence[Score], quantised: Sequence[Score], unit: str, seed: int
) -> dict[str, Any]:
    rows = pair_scores(unquantised, quantised, unit)
    change = paired_change(rows, seed)
    return {
        "unquantised": rows.base,
        "quantised": rows.tuned,
        "change": change.value,
        "low": change.low,
        "high": change.high,
        "n": change.n,
    }


def _interval(change: dict[str, Any]) -> str:
    return (
        f"{number(change['change'])}, 95 % interval {number(change['low'])} to "
        f"{number(change['high'])}"
    )
