"""Was it worth it? The tuned model against the same base that is helped instead of trained.

All are compared on the same held-out rows: the loss of the answers wanted, what was found in the
answers given, and what a request costs in tokens and seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunesmith.core.records import Origin, Score
from tunesmith.core.seeds import derive
from tunesmith.evaluate.answers import answer_changes
from tunesmith.evaluate.bootstrap import Interval, PairedRows, paired_change
from tunesmith.evaluate.judgement import Judgement, judged, unmeasured
from tunesmith.evaluate.measure import Baseline, Cost, Grading, Measured, Side
from tunesmith.evaluate.money import money
from tunesmith.evaluate.pairing import pair_scores, unit_of
from tunesmith.evaluate.wording import measurement, number

CHEAPER = 0.9
"""A request is cheaper if it takes at most this share of the tokens: less is lost in the spread of
how long answers are."""


@dataclass(frozen=True, slots=True)
class _Compared:
    """The tuned model and a baseline on the baseline's rows: `gain` is what training adds to it."""

    baseline: Baseline
    rows: PairedRows
    gain: Interval


def worth(measured: Measured, seed: int = 0) -> Judgement:
    """Was it worth it? The base that is helped decides; a teacher stands beside it.

    A student may be worth it that is worse than its teacher, for its requests cost less: how much
    of either is told, and left to the reader.
    """
    found = _against_help(measured, seed)
    if measured.tuned is None or measured.teacher is None:
        return found
    unit = unit_of(measured.tuned.held_out, measured.teacher.side.held_out)
    compared = _compare(measured.tuned, measured.teacher, unit, seed)
    summary = f"{found.detail['summary']}; {_beside_teacher(compared, unit, measured.tuned.cost)}"
    line = _line(compared, measured.tuned, measured.grading, seed)
    cost = cost_of(measured.tuned.cost)
    return replace(
        found, detail={"cost": cost, **found.detail, "teacher": line, "summary": summary}
    )


def _against_help(measured: Measured, seed: int) -> Judgement:
    """Loss of the best baseline minus loss of the tuned model, on the same rows.

    The best baseline is the one with the lowest loss, which favours it a little. Passes where the
    whole interval is above zero; where it is not clear which of the two is better, a tuned model
    whose requests cost fewer tokens passes; where the baseline is clearly better, it fails.
    """
    tuned = measured.tuned
    if tuned is None or not measured.baselines:
        return unmeasured(
            "it was not compared with the same base given examples in its prompt or found by "
            "search (evaluate.examples)"
        )
    unit = unit_of(tuned.held_out, *(each.side.held_out for each in measured.baselines))
    compared = [_compare(tuned, each, unit, seed) for each in measured.baselines]
    best = min(compared, key=lambda each: each.rows.base)
    cost = best.baseline.side.cost
    saves = _saves(tuned.cost, cost)
    pays = requests_until_it_pays(measured.course.seconds, tuned.cost, cost)
    passed = best.gain.low > 0 or (best.gain.high >= 0 and saves)
    paid = money(measured.prices, measured.course.seconds, tuned.cost, cost, best.baseline.title)
    detail = {
        "summary": _summary(best, unit, tuned.cost, pays),
        "best": best.baseline.name,
        "base": best.rows.base,
        "tuned": best.rows.tuned,
        "baselines": [_line(each, tuned, measured.grading, seed) for each in compared],
        "cost": cost_of(tuned.cost),
        "training_seconds": measured.course.seconds,
        "requests_until_it_pays": pays,
        **({} if paid is None else {"money": paid}),
        "rule": (
            "passes when the whole interval is above zero, or when neither is clearly better and "
            f"a request costs at most {CHEAPER:.0%} of the tokens"
        ),
    }
    return judged(passed, best.gain, unit, detail)


def _compare(tuned: Side, baseline: Baseline, unit: str, seed: int) -> _Compared:
    theirs = baseline.side.held_out
    rows = pair_scores(theirs, _of(tuned.held_out, theirs), unit)
    change = paired_change(rows, derive(seed, "bootstrap", "worth", baseline.name))
    return _Compared(baseline, rows, Interval(-change.value, -change.high, -change.low, change.n))


def _of(scores: Sequence[Score], others: Sequence[Score]) -> list[Score]:
    """The scores of the rows that the others are of."""
    asked: set[Origin] = {score.origin for score in others}
    return [score for score in scores if score.origin in asked]


def _line(compared: _Compared, tuned: Side, grading: Grading, seed: int) -> dict[str, Any]:
    """One baseline, as it stands in verdict.json."""
    side, gain = compared.baseline.side, compared.gain
    answered = {each.origin for each in side.answers}
    ours = [each for each in tuned.answers if each.origin in answered]
    asked = {each.origin for each in ours}
    theirs = [each for each in side.answers if each.origin in asked]
    return {
        "name": compared.baseline.name,
        "title": compared.baseline.title,
        "loss": compared.rows.base,
        "tuned_loss": compared.rows.tuned,
        "gain": gain.value,
        "low": gain.low,
        "high": gain.high,
        "n": gain.n,
        **answer_changes(theirs, ours, grading, seed),
        "cost": cost_of(side.cost),
    }


def cost_of(cost: Cost | None) -> dict[str, float] | None:
    """What a request costs, as it stands in JSON."""
    if cost is None:
        return None
    return {
        "prompt_tokens": cost.prompt_tokens,
        "answer_tokens": cost.answer_tokens,
        "tokens": cost.tokens,
        "seconds": cost.seconds,
        "requests": cost.requests,
    }


def _saves(tuned: Cost | None, other: Cost | None) -> bool:
    return tuned is not None and other is not None and tuned.tokens <= CHEAPER * other.tokens


def requests_until_it_pays(training: float, tuned: Cost | None, other: Cost | None) -> int | None:
    """After how many requests the time saved is the time of training; None if it never is."""
    if tuned is None or other is None or tuned.seconds >= other.seconds:
        return None
    return round(training / (other.seconds - tuned.seconds)) + 1


def _summary(best: _Compared, unit: str, cost: Cost | None, pays: int | None) -> str:
    word = "beats" if best.gain.low > 0 else "is no better than"
    if best.gain.high < 0:
        word = "is worse than"
    said = (
        f"it {word} the same base with {best.baseline.title} ({number(best.rows.tuned)} against "
        f"{number(best.rows.base)} {unit}, difference {measurement(best.gain)})"
    )
    theirs = best.baseline.side.cost
    if cost is None or theirs is None:
        return said
    said += f" at {cost.tokens:,.0f} tokens a request instead of {theirs.tokens:,.0f}"
    if pays is None:
        return said
    return f"{said}, and the time of training is saved after {pays:,} requests"


def _beside_teacher(found: _Compared, unit: str, cost: Cost | None) -> str:
    """Loss and seconds of both."""
    said = (
        f"{found.baseline.title} reaches {number(found.rows.base)} {unit} on the same rows, the "
        f"tuned model {number(found.rows.tuned)}"
    )
    theirs = found.baseline.side.cost
    if cost is None or theirs is None:
        return said
    return f"{said}, at {cost.seconds:.2g} s a request instead of {theirs.seconds:.2g} s"
