"""The metric of answers that end in a number, as worked arithmetic does."""

from __future__ import annotations

import re
from decimal import Decimal

from tunesmith.core.records import Prompt

_NUMBER = re.compile(
    r"(?P<sign>(?<![\w)])[-\u2212])?[$\u20ac\u00a3\u00a5]?\s?"
    r"(?<![\d.])"
    r"(?:(?P<grouped>\d{1,3}(?:[,'\u2019\u00a0\u202f]\d{3})+(?!\d))|(?P<whole>\d+)|(?=\.\d))"
    r"(?:\.(?P<decimals>\d+)|,(?P<comma>\d{1,2})(?!\d))?"
    r"(?P<exponent>[eE][-+]?\d{1,3}(?!\w))?"
)
_UNIT = re.compile(r"[^\d\n]{0,20}")


def last_number(text: str) -> Decimal | None:
    """The last number of a text: thousands separators and signs of currency are left out."""
    found = _last(text)
    return None if found is None else _value(found)


def ends_in_number(text: str) -> bool:
    """Whether at most a unit, 20 characters long, stands behind the last number."""
    bare = text.strip()
    found = _last(bare)
    return found is not None and _UNIT.fullmatch(bare[found.end() :]) is not None


def number_match(prompt: Prompt, answer: str) -> bool | None:
    """Whether the last number of the answer is that of the reference, which must have one."""
    wanted = last_number(prompt.answer)
    return None if wanted is None else last_number(answer) == wanted


def _last(text: str) -> re.Match[str] | None:
    return max(_NUMBER.finditer(text), key=re.Match.start, default=None)


def _value(found: re.Match[str]) -> Decimal:
    whole = re.sub(r"\D", "", found["grouped"] or found["whole"] or "0")
    decimals = found["decimals"] or found["comma"] or "0"
    sign = "-" if found["sign"] else ""
    return Decimal(f"{sign}{whole}.{decimals}{found['exponent'] or ''}")
