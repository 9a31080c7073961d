"""Advice in finished sentences, and all that it stands on, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tunesmith.evaluate.advice import (
    BASE,
    EXACT,
    EXAMPLES,
    FEW_ROWS,
    PROBE,
    SEARCH,
    Difference,
    Evidence,
    Recommendation,
    is_right,
    losses,
    recommend,
    right_share,
    values,
)
from tunesmith.evaluate.judgement import MINIMUM_ROWS
from tunesmith.evaluate.measure import Baseline
from tunesmith.evaluate.wording import measurement, number, percent, plural
from tunesmith.evaluate.worth import cost_of, requests_until_it_pays

_RULE_OF_THREE = 3

_ADVICE: dict[Recommendation, str] = {
    "nothing": "Leave the base as it is",
    "prompting": "Tell the base by a prompt",
    "few_shot": "Show the base examples in its prompt",
    "retrieval": "Let the base look answers up by search",
    "fine_tuning": "Fine-tune",
    "more_data": "Get more rows first",
    "unclear": "None of this helps clearly",
}


def advice_of(evidence: Evidence) -> dict[str, Any]:
    """The content of advice.json: what is recommended, why, and each option with its costs."""
    recommended, option = recommend(evidence)
    return {
        "recommend": recommended,
        "sentence": f"{_ADVICE[recommended]}: {_because(evidence, recommended, option)}.",
        "reasons": [*_reasons(evidence, recommended, option)],
        "unit": evidence.unit,
        "metric": evidence.metric,
        "judged_rows": evidence.judged,
        "rows": evidence.rows,
        "probe_steps": evidence.course.last_step,
        "probe_seconds": evidence.course.seconds,
        "training_seconds": evidence.training_seconds,
        "options": [
            _line(evidence, each, loss)
            for each, loss in zip(evidence.options, losses(evidence), strict=True)
        ],
    }


def _line(evidence: Evidence, option: Baseline, loss: float) -> dict[str, Any]:
    """One option: its quality, how it differs from the base and the probe, and what it costs."""
    tuned = evidence.probe.side.cost
    from_base = evidence.difference(option, evidence.base) if option.name != BASE else None
    from_probe = evidence.difference(option, evidence.probe) if option.name != PROBE else None
    training = evidence.training_seconds
    return {
        "name": option.name,
        "title": option.title,
        "loss": loss,
        "right": right_share(option, evidence.metric),
        "exact_match": right_share(option, EXACT),
        "answers": len(option.side.answers),
        "against_base": _difference(from_base),
        "against_probe": _difference(from_probe),
        "cost": cost_of(option.side.cost),
        "requests_until_training_pays": requests_until_it_pays(training, tuned, option.side.cost),
    }


def _difference(found: Difference | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"sign": found.sign, "gain": values(found.gain), "right": values(found.right)}


def _because(evidence: Evidence, recommended: Recommendation, option: Baseline | None) -> str:
    """The numbers behind the recommendation, as a clause."""
    if option is None:
        held = plural(evidence.judged, "held-out row")
        return f"{held} to judge by cannot show any difference, at least {MINIMUM_ROWS} are needed"
    if recommended == "more_data":
        return _why_more(evidence)
    if recommended == "unclear":
        return (
            f"neither a help nor {_steps(evidence)} of training on {plural(evidence.rows, 'row')} "
            "is clearly better than the base as it is asked"
        )
    if recommended == "fine_tuning":
        other = evidence.useful_help or evidence.base
        than = f"the same base with {other.title}" if other is not evidence.base else other.title
        return f"after {_steps(evidence)} it {_better(evidence, option, other)} than {than}"
    asked = "asked plainly" if recommended == "nothing" else f"with {option.title}"
    if right_share(option, evidence.metric):
        return f"{asked}, it answers {_rightly(evidence, option)}"
    return f"{asked}, it {_better(evidence, option, evidence.base)} than as it is asked"


def _why_more(evidence: Evidence) -> str:
    rows = plural(evidence.rows, "row")
    if evidence.by_heart:
        return (
            f"{_steps(evidence)} of training on {rows} taught them by heart, and much of that "
            "does not carry over to rows never seen"
        )
    return f"{rows} taught nothing that shows on rows never seen, nor does any help"


def _reasons(
    evidence: Evidence, recommended: Recommendation, option: Baseline | None
) -> Iterator[str]:
    """What else there is to know, each a finished sentence."""
    if option is not None:
        yield from _bound(evidence, option)
        yield from _REASONS[recommended](evidence, option)
    if evidence.rows < FEW_ROWS:
        one_in = max(2, evidence.rows // _RULE_OF_THREE)
        yield (
            f"There are {plural(evidence.rows, 'row')} to train on: what occurs in fewer than one "
            f"case in {one_in} may well stand in none of them. `tunesmith curve` says what more "
            "would bring."
        )


def _bound(evidence: Evidence, option: Baseline) -> Iterator[str]:
    """What a share of right answers of 100 % may still hide."""
    count = len(option.side.answers)
    if right_share(option, evidence.metric) == 1.0:
        yield (
            f"Where {count} of {count} answers are right, up to {percent(_RULE_OF_THREE / count)} "
            "of all may still be wrong (95 %, rule of three)."
        )


def _of_nothing(evidence: Evidence, option: Baseline) -> Iterator[str]:
    if evidence.probe.side.answers:
        answered = _rightly(evidence, evidence.probe)
        yield f"After {_steps(evidence)} of training it answers {answered}."


def _of_help(evidence: Evidence, option: Baseline) -> Iterator[str]:
    yield _against_training(evidence, option)
    yield from _pays(evidence, option)
    fixed = next((each for each in evidence.helps if each.name == EXAMPLES), None)
    if option.name != SEARCH or fixed is None or evidence.difference(option, fixed).sign <= 0:
        return
    yield (
        "The examples found for a question are clearly better than the same ones for all: what is "
        "asked stands in single rows. Such facts are looked up anew when they change; a trained "
        "model would have to be trained again."
    )


def _of_training(evidence: Evidence, option: Baseline) -> Iterator[str]:
    if evidence.best_help is not None:
        yield from _pays(evidence, evidence.best_help)


def _of_too_little(evidence: Evidence, option: Baseline) -> Iterator[str]:
    if evidence.by_heart:
        trained, held = evidence.change("train"), evidence.change("held_out")
        yield (
            f"The loss fell from {number(trained.base)} to {number(trained.tuned)} "
            f"{evidence.unit} on rows that it trained on, and from {number(held.base)} to "
            f"{number(held.tuned)} on rows never seen: longer training would widen that gap."
        )
        return
    yield (
        "Look at the rows as they are trained (`tunesmith data show`), try a larger base, or let "
        "the probe train longer (--minutes)."
    )


_REASONS: dict[Recommendation, Callable[[Evidence, Baseline], Iterator[str]]] = {
    "nothing": _of_nothing,
    "prompting": _of_help,
    "few_shot": _of_help,
    "retrieval": _of_help,
    "fine_tuning": _of_training,
    "more_data": _of_too_little,
    "unclear": _of_too_little,
}


def _against_training(evidence: Evidence, option: Baseline) -> str:
    found = evidence.difference(option, evidence.probe)
    word = {1: "clearly better than", 0: "not clearly other than", -1: "worse than"}[found.sign]
    return (
        f"That is {word} the model after {_steps(evidence)} of training (loss lower by "
        f"{measurement(found.gain)} {evidence.unit}), and needs no training."
    )


def _pays(evidence: Evidence, option: Baseline) -> Iterator[str]:
    """What a request costs with training and without, and when training has paid."""
    tuned, theirs = evidence.probe.side.cost, option.side.cost
    if tuned is None or theirs is None:
        return
    said = (
        f"A request takes {theirs.tokens:,.0f} tokens and {theirs.seconds:.2g} s with "
        f"{option.title}, and {tuned.tokens:,.0f} tokens and {tuned.seconds:.2g} s after training"
    )
    pays = requests_until_it_pays(evidence.training_seconds, tuned, theirs)
    if pays is None:
        yield f"{said}: training saves no time."
    else:
        yield f"{said}: the time of training is saved after {pays:,} requests."


_RIGHT = {
    EXACT: "exactly",
    "label_accuracy": "with the right class",
    "tool_calls": "with the right tool calls",
    "number_match": "with the right number",
    "json_fields": "with every field right",
}


def _rightly(evidence: Evidence, option: Baseline) -> str:
    answers = option.side.answers
    right = sum(is_right(each, evidence.metric) for each in answers)
    return f"{right} of {len(answers)} held-out questions {_RIGHT[evidence.metric]}"


def _steps(evidence: Evidence) -> str:
    return plural(evidence.course.last_step, "step")


def _better(evidence: Evidence, one: Baseline, other: Baseline) -> str:
    """How one option is better than the other, up to the word `than`."""
    found = evidence.difference(one, other)
    right = found.right
    if right is not None and right.low > 0:
        low, high = percent(right.low), percent(right.high)
        return (
            f"answers {_rightly(evidence, one)}, which is {percent(right.value)} of them "
            f"(95 % interval {low} to {high}) more"
        )
    return f"needs {number(found.gain.value)} {evidence.unit} less ({_interval(found)})"


def _interval(found: Difference) -> str:
    low, high = number(found.gain.low), number(found.gain.high)
    return f"95 % interval {low} to {high}, {plural(found.gain.n, 'held-out row')}"
