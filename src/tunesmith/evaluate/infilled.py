"""Held-out documents told out of order: did the model learn to fill a gap?"""

from __future__ import annotations

from typing import Any

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import paired_change
from tunesmith.evaluate.measure import Side
from tunesmith.evaluate.pairing import pair_scores, unit_of
from tunesmith.evaluate.wording import number


def infilled(base: Side, tuned: Side, seed: int) -> dict[str, Any] | None:
    """The losses of both as they stand in JSON, and in a clause; None where none were scored.

    They are beside the loss in order and never mixed with it: that one stays comparable with models
    that were not trained so. The interval is that of tuned minus base.
    """
    if not base.infilled:
        return None
    unit = unit_of(base.infilled, tuned.infilled)
    rows = pair_scores(base.infilled, tuned.infilled, unit)
    change = paired_change(rows, derive(seed, "bootstrap", "infilled"))
    return {
        "base": rows.base,
        "tuned": rows.tuned,
        "change": change.value,
        "low": change.low,
        "high": change.high,
        "n": change.n,
        "unit": unit,
        "summary": (
            f"told out of order, with a gap to fill, held-out documents went from "
            f"{number(rows.base)} to {number(rows.tuned)} {unit}"
        ),
    }
