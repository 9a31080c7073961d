"""The forms in which exported logs write a time."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

_ISO = re.compile(
    r"(\d{4})[-/](\d\d)[-/](\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?"
    r" ?(Z|UTC|GMT|[+-]\d\d:?\d\d)?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d{1,19}(\.\d+)?")
_SECONDS, _MILLISECONDS, _MICROSECONDS = 1e11, 1e14, 1e17
"""Numbers up to there count seconds, milliseconds or microseconds since 1970."""

READ = (
    "Times are read as 2024-05-31 14:05:00, with or without a zone (Z, +02:00), as seconds or "
    "milliseconds since 1970, and as in e-mail (Fri, 31 May 2024 14:05:00 +0200)"
)


class Moment(NamedTuple):
    """Seconds since 1970, and whether the zone was written; without one it is taken as UTC."""

    seconds: float
    zoned: bool


def moment_of(value: Any) -> Moment:
    """The time that a value of a log says. Raises ValueError if it says none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{type(value).__name__} is no time")
    if not isinstance(value, str):
        return _since_1970(value)
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return _since_1970(float(text))
    if found := _ISO.fullmatch(text):
        return _written(found)
    try:
        return _moment(parsedate_to_datetime(text))
    except (TypeError, ValueError, IndexError, OverflowError):
        raise ValueError(f"{text!r} is no time") from None


def _since_1970(number: float) -> Moment:
    if not 0 <= number < _MICROSECONDS:
        raise ValueError(f"{number} is no time")
    unit = 1 if number < _SECONDS else 1e3 if number < _MILLISECONDS else 1e6
    return Moment(number / unit, True)


def _written(found: re.Match[str]) -> Moment:
    *numbers, fraction, zone = found.groups()
    year, month, day, hour, minute, second = (int(number or 0) for number in numbers)
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    when = datetime(year, month, day, hour, minute, second, micro)  # ValueError: no such day
    return _moment(when if zone is None else when.replace(tzinfo=_zone(zone)))


def _zone(text: str) -> timezone:
    if text[0] not in "+-":
        return timezone.utc
    digits = text[1:].replace(":", "")
    away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(away if text[0] == "+" else -away)


def _moment(when: datetime) -> Moment:
    zoned = when.tzinfo is not None
    return Moment((when if zoned else when.replace(tzinfo=timezone.utc)).timestamp(), zoned)
