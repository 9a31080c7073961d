"""Rows that belong together: those of one conversation stay on one side of the split."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

FIELDS = ("conversation_id", "dialogue_id", "thread_id", "session_id")
"""Fields that tell which conversation a row is from, where the recipe names none."""


def field_of(fields: Mapping[str, Any], named: str | None) -> str | None:
    """The field by which a row is grouped: the one the recipe names, else the first of FIELDS."""
    names = FIELDS if named is None else (named,)
    return next((name for name in names if fields.get(name) is not None), None)


def group_of(fields: Mapping[str, Any], field: str) -> int:
    """The group's number: 64 bits, never 0, equal where the values of the field are."""
    value = json.dumps(fields[field], sort_keys=True, default=str).encode()
    return int.from_bytes(blake2b(value, digest_size=8).digest(), "little") or 1
