"""Metrics of the answer as a text: equal to the reference, and as long as it."""

from __future__ import annotations

import unicodedata

from tunesmith.core.records import Prompt


def normal(text: str) -> str:
    """In Unicode NFC, without surrounding white space."""
    return unicodedata.normalize("NFC", text).strip()


def exact_match(reference: str, answer: str) -> bool:
    """Equal character by character, after Unicode NFC and without surrounding white space."""
    return normal(reference) == normal(answer)


def exact(prompt: Prompt, answer: str) -> bool:
    """Whether the answer is the reference."""
    return exact_match(prompt.answer, answer)


def length_ratio(prompt: Prompt, answer: str) -> float | None:
    """Characters of the answer for each character of the reference; None for an empty one."""
    wanted = len(normal(prompt.answer))
    return len(normal(answer)) / wanted if wanted else None
