"""Verifiers: an answer is right or it is not, as a rule says that anyone can check.

Each function makes, of the fields of its shape, the number of one answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import regex

from tunesmith.core.errors import RecipeError
from tunesmith.core.records import Answered, Prompt
from tunesmith.evaluate.graders.names import Ungraded, filled
from tunesmith.evaluate.metrics.labels import label
from tunesmith.evaluate.metrics.metric import OfCode, OfCorpus
from tunesmith.evaluate.metrics.numbers import last_number
from tunesmith.evaluate.metrics.table import METRICS
from tunesmith.evaluate.metrics.texts import exact_match, normal
from tunesmith.recipe.graders.shapes import GraderJson, value

OfAnswered = Callable[[Answered], float]

_MARK = "####"
"""What stands before the final number of a worked answer in GSM8K (Cobbe et al. 2021)."""

_PERCENT = ("chrf", "bleu")
"""Metrics that count to 100."""


def exact(grader: GraderJson) -> OfAnswered:
    """1 if the answer is the reference: as label accuracy compares, or `strict`, as exact match."""
    same = exact_match if value(grader, "strict") else _same_label
    reference = value(grader, "reference")
    return lambda answered: float(same(filled(reference, answered), answered.text))


def _same_label(reference: str, answer: str) -> bool:
    return " ".join(label(reference).split()) == " ".join(label(answer).split())


def numeric(grader: GraderJson) -> OfAnswered:
    """1 if the answer's final number lies within `tolerance` of the reference's, or `relative`.

    The final number is the one behind the last `####`, or else the last of all.
    """
    reference = value(grader, "reference")
    tolerance, relative = value(grader, "tolerance"), value(grader, "relative")

    def number(answered: Answered) -> float:
        wanted = final_number(filled(reference, answered))
        if wanted is None:
            raise Ungraded(
                f"{answered.origin}: there is no number in the reference {reference!r} to hold the "
                "answer against. Correct the row, or the grader's reference."
            )
        given = final_number(answered.text)
        if given is None:
            return 0.0
        room = max(Decimal(str(tolerance)), Decimal(str(relative)) * abs(wanted))
        return float(abs(given - wanted) <= room)

    return number


def final_number(text: str) -> Decimal | None:
    """The number behind the last `####` of a text; without that mark its last number."""
    _, mark, behind = text.rpartition(_MARK)
    return last_number(behind.strip().split("\n")[0] if mark else text)


def pattern(grader: GraderJson) -> OfAnswered:
    """1 if the expression is found in the answer, or is all of it (`whole`), in good time.

    A search that takes longer than `seconds` has no result: nothing is known of that answer.
    """
    text, seconds = grader["pattern"], value(grader, "seconds")
    try:
        compiled = regex.compile(text)
    except regex.error as error:
        raise RecipeError(
            f"The pattern {text!r} is no regular expression ({error}). Mend it, or write a \\ "
            "before a sign that is meant as it stands."
        ) from error
    search = compiled.fullmatch if value(grader, "whole") else compiled.search

    def number(answered: Answered) -> float:
        try:
            return float(search(answered.text, timeout=seconds) is not None)
        except TimeoutError:
            raise Ungraded(
                f"{answered.origin}: the pattern {text!r} searched this answer for more than "
                f"{seconds:g} s. Write it without repeats inside repeats."
            ) from None

    return number


def ends_with(grader: GraderJson) -> OfAnswered:
    """1 if the answer ends with the reference, both in NFC and without space around them."""
    reference = value(grader, "reference")

    def number(answered: Answered) -> float:
        wanted = normal(filled(reference, answered))
        if not wanted:
            raise Ungraded(
                f"{answered.origin}: the reference {reference!r} is empty, and every answer ends "
                "with that. Correct the row."
            )
        return float(normal(answered.text).endswith(wanted))

    return number


def length(grader: GraderJson) -> OfAnswered:
    """1 within the limits; outside it falls in a straight line to 0 over `margin` more units."""
    least, margin = value(grader, "at_least"), value(grader, "margin")
    most = math.inf if value(grader, "at_most") is None else value(grader, "at_most")
    words = value(grader, "unit") == "words"

    def number(answered: Answered) -> float:
        text = normal(answered.text)
        units = len(re.findall(r"\S+", text)) if words else len(text)
        beyond = max(least - units, units - most, 0)
        return max(0.0, 1 - beyond / (margin + 1))

    return number


def metric(grader: GraderJson) -> OfAnswered:
    """The metric of docs/metrics.md that is named, of this answer alone, from 0 to 1."""
    key, reference = grader["metric"], value(grader, "reference")
    of, name = METRICS[key].of, METRICS[key].name
    assert not isinstance(of, OfCode)

    def number(answered: Answered) -> float:
        wanted = filled(reference, answered)
        if isinstance(of, OfCorpus):
            found = float(of.value(of.columns([wanted], [answered.text])[0]))
            return found / 100 if key in _PERCENT else found
        given = of(_asked(answered, wanted), answered.text)
        if given is None:
            raise Ungraded(
                f"{answered.origin}: the reference {wanted[:60]!r} is not of the kind that the "
                f"metric {name} speaks of. Correct the row, or take another metric."
            )
        return float(given)

    return number


def _asked(answered: Answered, reference: str) -> Prompt:
    return Prompt(answered.origin, answered.messages, np.zeros(0, np.int32), reference)
