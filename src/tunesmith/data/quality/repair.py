"""A row with its text mended and its personal data taken out."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tunesmith.data.quality.damage import mended
from tunesmith.data.quality.personal import redacted


def repaired(fields: Mapping[str, Any]) -> tuple[dict[str, Any], Counter[str]]:
    """The fields with every text in them rewritten, at any depth, and how often for which reason.

    Names of fields stay as they are. The reasons are those of the checks whose `fix` is "rewrite",
    and "not_a_number" for NaN and infinities, which JSON has no word for: they become null.
    """
    counts: Counter[str] = Counter()
    made = {name: _repaired(value, counts) for name, value in fields.items()}
    return made, counts


def as_line(fields: Mapping[str, Any]) -> str:
    """A repaired row as a line of JSON.

    What UTF-8 cannot hold, half of a surrogate pair in a field that nobody reads, is escaped.
    """
    line = json.dumps(fields, ensure_ascii=False, allow_nan=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        line = json.dumps(fields, allow_nan=False)
    return line + "\n"


def _repaired(value: Any, counts: Counter[str]) -> Any:
    if isinstance(value, str):
        text, mends = mended(value)
        text, taken = redacted(text)
        counts.update(mends)
        counts.update(taken)
        return text
    if isinstance(value, float) and not math.isfinite(value):
        counts.update(["not_a_number"])
        return None
    if isinstance(value, Mapping):
        return {name: _repaired(each, counts) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_repaired(each, counts) for each in value]
    return value
