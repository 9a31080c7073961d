"""The brand voice of Lantern Lane as checks: each property of an answer is true or false.

`check` reads the customer's messages and the answer. From the reference answer it takes one thing
only, the customer's first name, because a first name has no fixed form in the customer's text.
"""

from __future__ import annotations

import re
from typing import Any

CLOSING_LINE = "Warmly, the Lantern Lane team"
MIN_WORDS, MAX_WORDS = 25, 60
"""Words are what white space separates; greeting and closing line count."""

BANNED_WORDS = (
    "sorry",
    "apologise",
    "apologies",
    "unfortunately",
    "regret",
    "policy",
    "cannot",
    "can't",
    "unable",
    "problem",
    "inconvenience",
    "asap",
)

_BANNED = re.compile(rf"\b(?:{'|'.join(BANNED_WORDS)})\b", re.IGNORECASE)
_GREETING = re.compile(r"Hello ([^\s,]+),")
_NUMBER = re.compile(r"(?<!\d)\d{5}(?!\d)")
_ORDER = re.compile(r"\border (\d+)")


def check(example: dict[str, Any], answer: str) -> dict[str, bool]:
    """Judge one answer; an empty answer fails every property.

    `example` holds `messages` (the conversation up to the answer) and `answer` (the reference).
    """
    customer = " ".join(m["content"] for m in example["messages"] if m["role"] == "user")
    text = answer.strip()
    return {
        "greeting": _greets_by_name(text, example["answer"]),
        "order_number": _repeats_order(text, customer),
        "length": MIN_WORDS <= len(text.split()) <= MAX_WORDS,
        "closing": text.splitlines()[-1:] == [CLOSING_LINE],
        "no_banned_words": bool(text) and not _BANNED.search(text.replace("\u2019", "'")),
    }


def _greets_by_name(text: str, reference: str) -> bool:
    """The answer begins `Hello <FirstName>,` with the name that the reference greets."""
    expected = _GREETING.match(reference)
    return expected is not None and text.startswith(expected.group())


def _repeats_order(text: str, customer: str) -> bool:
    """The answer says `order 48213` with the customer's number, and names no other order."""
    wanted = _NUMBER.search(customer)
    return wanted is not None and set(_ORDER.findall(text)) == {wanted.group()}
