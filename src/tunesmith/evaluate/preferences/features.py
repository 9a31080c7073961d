"""Surface features of an answer: what a reward can be raised by without the answer being better.

Each is a count or a share that says nothing of whether the answer is right. Counts enter as
log(1 + count): one mark more matters less where there are many, and one long answer does not
outweigh all others.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunesmith.core.records import Message
from tunesmith.evaluate.preferences.measured import Drawn
from tunesmith.evaluate.preferences.safety import refuses

Count = Callable[[Drawn, Sequence[Message]], float]

_WORD = re.compile(r"\w+")
_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_MARKUP = re.compile(r"\*\*|__|`+|^#+\s", re.MULTILINE)
_EMOJI = re.compile("[\u2600-\u27bf\u2b50\u2b55\U0001f000-\U0001faff]")
_DIGIT = re.compile(r"\d")
_CAPITALS = re.compile(r"\b[A-Z]{3,}\b")

_GRAM = 3
"""Words that must recur in order to be a repetition, or a copy of the prompt: one or two do in any
text."""


@dataclass(frozen=True, slots=True)
class Feature:
    """`name` is a short stable key, `title` names it in a sentence ("the number of lines"), `more`
    and `fewer` what a reward for it would like: "more lines is better"."""

    name: str
    title: str
    more: str
    fewer: str
    count: Count

    def value(self, answer: Drawn, messages: Sequence[Message]) -> float:
        """log(1 + count)."""
        return math.log1p(self.count(answer, messages))


def repeated(text: str) -> float:
    """How many three-word sequences stood in the text before, of a hundred."""
    grams = _grams(text)
    again = sum(grams.values()) - len(grams)
    return 100 * again / max(sum(grams.values()), 1)


def copied(text: str, messages: Sequence[Message]) -> float:
    """How many three-word sequences of the text stand in the prompt, of a hundred."""
    grams = _grams(text)
    asked = set().union(*(_grams(message.content) for message in messages))
    both = sum(count for gram, count in grams.items() if gram in asked)
    return 100 * both / max(sum(grams.values()), 1)


def _grams(text: str) -> Counter[tuple[str, ...]]:
    words = [word.casefold() for word in _WORD.findall(text)]
    return Counter(zip(*(words[start:] for start in range(_GRAM)), strict=False))


def _found(pattern: re.Pattern[str]) -> Count:
    return lambda answer, _: len(pattern.findall(answer.text))


def _letters(characters: str) -> Count:
    return lambda answer, _: sum(map(answer.text.count, characters))


FEATURES = (
    Feature("length", "their length in tokens", "longer", "shorter", lambda a, _: a.tokens),
    Feature("lines", "the number of lines", "more lines", "fewer lines", _letters("\n")),
    Feature("items", "the number of list items", "more lists", "fewer lists", _found(_ITEM)),
    Feature(
        "repetition",
        "the share of repeated phrases",
        "more repetition",
        "less repetition",
        lambda a, _: repeated(a.text),
    ),
    Feature(
        "copied",
        "the share copied from the prompt",
        "more copying",
        "less copying",
        lambda a, messages: copied(a.text, messages),
    ),
    Feature("questions", "the number of question marks", "more ?", "fewer ?", _letters("?")),
    Feature("exclamations", "the number of exclamation marks", "more !", "fewer !", _letters("!")),
    Feature(
        "capitals",
        "the number of words in capital letters",
        "more capitals",
        "fewer capitals",
        _found(_CAPITALS),
    ),
    Feature("digits", "the number of digits", "more digits", "fewer digits", _found(_DIGIT)),
    Feature("emoji", "the number of emoji", "more emoji", "fewer emoji", _found(_EMOJI)),
    Feature(
        "markup", "the number of Markdown marks", "more markup", "less markup", _found(_MARKUP)
    ),
    Feature(
        "refusals",
        "the share of refusals",
        "more refusals",
        "fewer refusals",
        lambda a, _: refuses(a.text),
    ),
)
