"""What is to be done with the prompt of a compared or rated answer: refuse it, or answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from tunesmith.core.records import Conduct, Content, Preference, Rating
from tunesmith.data.formats.fields import fail, told

EXPECT = "expect"
"""The field that says so, whatever the format of the row."""


def expecting(content: Content, fields: Mapping[str, Any]) -> Content:
    """The content with what its row expects; one that was not compared or rated as it is."""
    value = fields.get(EXPECT)
    if not isinstance(content, Preference | Rating) or value in (None, ""):
        return content
    if value not in get_args(Conduct):
        fail(
            "unknown_expect",
            f'"{EXPECT}" must be "refuse" (a harmful prompt) or "answer" (a harmless one); '
            f"received {told(value)}. Correct it, or leave it out.",
        )
    return replace(content, expect=value)
