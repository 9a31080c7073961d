"""Tests beside a row: Python statements by which the code of an answer is judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.data.formats.fields import whole

TESTS = "tests"
"""The field that holds them, whatever the format of the row."""


def tests_of(fields: Mapping[str, Any]) -> str:
    """The statements in the field `tests`: a text, or a list of texts, one behind the other.

    A field of that name that holds anything else is no such field, and counts as not used.
    """
    value = fields.get(TESTS)
    parts: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str) for part in parts):
        return ""
    return whole("\n".join(parts), f'"{TESTS}"').strip()
