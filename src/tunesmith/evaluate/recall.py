"""Verbatim recall: what of the trained rows the model writes word for word when it is asked.

A row is recalled if the answer begins with the first `START` characters of the one that was trained
(all of it, if it is shorter), decoded greedily behind the row's own prompt: extractable
memorisation as Carlini et al. define it ("Quantifying memorization across neural language models",
2022, section 3). Held-out rows are asked in the same way, because an answer that always says the
same is right on rows never seen, too: what exceeds them is memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunesmith.evaluate.measure import Answered, Measured
from tunesmith.evaluate.metrics import normal
from tunesmith.evaluate.wording import plural

START = 200
"""Characters: about 50 tokens, what Carlini et al. ask for."""

FEWEST = 20
"""Shorter answers, such as a class, are given by chance or by skill: they show no memory."""

_NAMED = 5


def recall(measured: Measured) -> dict[str, Any] | None:
    """Counts of recalled rows on both sides, trained and held out; None if no row can show it."""
    base, tuned = measured.base, measured.tuned
    if base is None or tuned is None:
        return None
    trained, held = _long(tuned.recalled), _long(tuned.answers)
    if not trained:
        return None
    places = [str(each.origin) for each in trained if is_verbatim(each)]
    found = {
        "trained": {"rows": len(trained), "tuned": len(places), "base": _count(base.recalled)},
        "held_out": {"rows": len(held), "tuned": _count(held), "base": _count(base.answers)},
        "places": places[:_NAMED],
    }
    return {**found, "summary": _summary(found)}


def is_verbatim(answered: Answered) -> bool:
    """Whether the answer begins as the one wanted does."""
    return normal(answered.answer).startswith(normal(answered.reference)[:START])


def _long(answers: Sequence[Answered]) -> list[Answered]:
    return [each for each in answers if len(normal(each.reference)) >= FEWEST]


def _count(answers: Sequence[Answered]) -> int:
    return sum(map(is_verbatim, _long(answers)))


def _summary(found: dict[str, Any]) -> str:
    trained, held = found["trained"], found["held_out"]
    first = f", first {found['places'][0]}" if found["places"] else ""
    said = (
        f"of {plural(trained['rows'], 'trained row')} that were asked again the tuned model wrote "
        f"{trained['tuned']} word for word (the base {trained['base']}){first}"
    )
    if not held["rows"]:
        return said
    return f"{said}; of {plural(held['rows'], 'row')} never seen, {held['tuned']}"
