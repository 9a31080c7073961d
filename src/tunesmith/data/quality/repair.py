"""A row with its text mended and its personal data taken out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tunesmith.data.quality.damage import mended
from tunesmith.data.quality.personal import redacted


def repaired(fields: Mapping[str, Any]) -> tuple[dict[str, Any], Counter[str]]:
    """The fields with every text in them rewritten, at any depth, and how often for which reason.

    Names of fields stay as they are. The reasons are those of the checks whose `fix` is "rewrite".
    """
    counts: Counter[str] = Counter()
    made = {name: _repaired(value, counts) for name, value in fields.items()}
    return made, counts


def _repaired(value: Any, counts: Counter[str]) -> Any:
    if isinstance(value, str):
        text, mends = mended(value)
        text, taken = redacted(text)
        counts.update(mends)
        counts.update(taken)
        return text
    if isinstance(value, Mapping):
        return {name: _repaired(each, counts) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_repaired(each, counts) for each in value]
    return value
