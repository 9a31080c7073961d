"""Answers side by side: what each way said to one prompt, and where it differs from the reference.

Words are compared by `difflib.SequenceMatcher` (Ratcliff and Obershelp).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from tunesmith.core.records import Message, Origin
from tunesmith.evaluate.measure import Answered, Measured
from tunesmith.evaluate.readings import short_of

_WORDS = re.compile(r"\s*\S+|\s+$")

ALIKE = 0.5
"""From this share of common words on, left-out words are told too; below it they would be nearly
the whole reference."""

_MOST_WORDS = 1500

Stretch = tuple[str, str]
"""A piece of text and what it is: `same`, `extra` (not in the reference) or `missing` (only there).
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What one way answered; `kind` is base, helped or tuned."""

    title: str
    kind: str
    exact: bool
    stretches: tuple[Stretch, ...]
    properties: Mapping[str, bool | float]


@dataclass(frozen=True, slots=True)
class Sample:
    """One prompt, the answer wanted, and what each way told."""

    origin: Origin
    messages: tuple[Message, ...]
    reference: str
    told: tuple[Told, ...]


def samples(measured: Measured) -> list[Sample]:
    """Each prompt that base and tuned model answered; those that all ways answered come first."""
    if measured.base is None or measured.tuned is None:
        return []
    ways = [("base", "base", measured.base.answers)]
    ways += [(f"base {short_of(b.name)}", "helped", b.side.answers) for b in measured.baselines]
    ways += [("tuned", "tuned", measured.tuned.answers)]
    by_origin = [(title, kind, {a.origin: a for a in answers}) for title, kind, answers in ways]
    made = [
        Sample(
            after.origin,
            after.messages,
            after.reference,
            tuple(
                _told(title, kind, answers[after.origin])
                for title, kind, answers in by_origin
                if after.origin in answers
            ),
        )
        for after in measured.tuned.answers
        if after.origin in by_origin[0][2]
    ]
    return sorted(made, key=lambda sample: -len(sample.told))  # stable: else as they stood


def _told(title: str, kind: str, answered: Answered) -> Told:
    stretches = differences(answered.reference, answered.answer)
    return Told(title, kind, answered.exact, tuple(stretches), answered.properties)


def differences(reference: str, answer: str) -> list[Stretch]:
    """The answer in stretches that the reference has or has not, and what it leaves out of it.

    Without the `missing` ones they spell the answer, but for white space, which is never marked.
    """
    wanted, given = _WORDS.findall(reference), _WORDS.findall(answer)
    if max(len(wanted), len(given)) > _MOST_WORDS:
        return [(answer, "same" if answer.strip() == reference.strip() else "extra")]  # too slow
    matcher = SequenceMatcher(None, _bare(wanted), _bare(given), autojunk=False)
    return list(_stretches(matcher, wanted, given))


def _bare(words: list[str]) -> list[str]:
    return [word.strip() for word in words]


def _stretches(
    matcher: SequenceMatcher[str], wanted: list[str], given: list[str]
) -> Iterator[Stretch]:
    alike = matcher.ratio() >= ALIKE
    for what, wanted_from, wanted_to, from_, to in matcher.get_opcodes():
        if what == "equal":
            yield "".join(given[from_:to]), "same"
            continue
        if alike:
            yield from _set_off("".join(wanted[wanted_from:wanted_to]), "missing")
        yield from _set_off("".join(given[from_:to]), "extra")


def _set_off(text: str, what: str) -> Iterator[Stretch]:
    """The text without the white space before it, which is not marked."""
    bare = text.lstrip()
    if before := text[: len(text) - len(bare)]:
        yield before, "same"
    if bare:
        yield bare, what
