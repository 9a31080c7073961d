"""Answers that would teach the wrong thing: empty ones, echoes, refusals, marks of a template."""

from __future__ import annotations

import re
import unicodedata

from tunesmith.data.quality.view import Seen, plain

_PLACEHOLDERS = frozenset(("n a", "na", "nan", "null", "none", "todo", "tbd", "placeholder"))
_ECHOED = 20
"""Characters of a prompt from which on an answer that begins with it is an echo, not chance."""
_REFUSAL = re.compile(
    r"\bas an? (?:ai|artificial intelligence)\b|\b(?:large )?language model trained by\b"
    r"|\bmy (?:knowledge|training) (?:cutoff|cut-off|data)\b"
    r"|\bI(?:['\u2019]m| am) (?:just )?an? (?:AI|artificial intelligence|language model)\b"
    r"|\bI(?:['\u2019]m sorry| apologi[sz]e),? but I (?:can(?:not|['\u2019]t)|"
    r"am (?:not able|unable) to|won['\u2019]t) (?:assist|help|comply|fulfil|engage|participate)"
    r"|\bI(?: can(?:not|['\u2019]t)| am unable to|['\u2019]m unable to) "
    r"(?:assist|help|comply) (?:you )?with (?:that|this|your) request\b",
    re.IGNORECASE,
)
_REFUSED_EARLY = 400
_MARKS = re.compile(
    r"<\|[a-z_]{2,24}\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>"
    r"|^###\s?(?:Instruction|Response|Input|Human|Assistant)\s?:",
    re.MULTILINE,
)


def empty(seen: Seen) -> str | None:
    """An answer of spaces and punctuation, or a word that stands for none."""
    for _, answer in seen.turns:
        stripped = answer.strip()
        signs = all(unicodedata.category(each)[0] in "PZC" for each in stripped)
        if signs or (len(stripped) < 12 and plain(stripped) in _PLACEHOLDERS):
            return f"The answer is {stripped!r}." if stripped else "The answer is blank."
    return None


def echo(seen: Seen) -> str | None:
    """An answer that begins with all of what it answers."""
    for asked, answer in seen.turns:
        if _ECHOED <= len(asked) <= len(answer) + _ECHOED:
            question = plain(asked)
            if len(question) >= _ECHOED and plain(answer[: 2 * len(asked)]).startswith(question):
                return f"The answer begins with its prompt: {_start(answer)}"
    return None


def refusal(seen: Seen) -> str | None:
    """An answer that speaks as a general assistant, or refuses as one."""
    for _, answer in seen.turns:
        found = _REFUSAL.search(answer[:_REFUSED_EARLY])
        if found:
            return f"The answer says: {_start(answer[found.start() :])}"
    return None


def template_mark(seen: Seen) -> str | None:
    """Text that is the mark of a chat template, in an answer."""
    for _, answer in seen.turns:
        found = _MARKS.search(answer)
        if found:
            return f"The answer holds {found[0]!r}."
    return None


def _start(text: str) -> str:
    words = " ".join(text[:120].split())
    return f'"{words[:60]}…"' if len(words) > 60 else f'"{words}"'
