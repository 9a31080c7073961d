"""How numbers are written, and the clauses that carry them into the verdict's sentence."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.core.records import Validation
from tunesmith.evaluate.bootstrap import Interval, PairedRows
from tunesmith.evaluate.measure import Course, Parity


def number(value: float) -> str:
    """Two decimals; fewer for large or whole values, two significant digits for small ones."""
    if value == round(value) and abs(value) < 1e6:
        return str(int(value))
    if abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def amount(value: float, currency: str = "") -> str:
    """Money: `12.35 EUR`, `1,204 EUR`; below a tenth two significant digits: `0.0042 EUR`."""
    if value >= 100:
        digits = f"{value:,.0f}"
    else:
        digits = f"{value:.2f}" if value >= 0.1 or value == 0 else f"{value:.2g}"
    return f"{digits} {currency}".rstrip()


def percent(value: float) -> str:
    """A share of 0 to 1. Never rounds up to 100 % or down to 0 %: one failure in 500 is told."""
    hundreds = 100 * value
    if 0 < hundreds < 1 or 99 < hundreds < 100:
        return f"{hundreds:.1f} %"
    return f"{hundreds:.0f} %"


def measurement(found: Interval) -> str:
    """`1.33, 95 % interval 1.25 to 1.41`."""
    return f"{number(found.value)}, 95 % interval {number(found.low)} to {number(found.high)}"


def plural(count: int, thing: str) -> str:
    """`1 row`, `2 rows`, `2,000 rows`."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def property_clause(name: str, base: float, tuned: float, rate: bool) -> str:
    """`greeting went from 0 % to 98 %`."""
    show = percent if rate else number
    return f"{name} went from {show(base)} to {show(tuned)}"


def learned_summary(
    rows: PairedRows,
    gain: Interval,
    unit: str,
    worse: Sequence[str],
    noise: float | None,
    guessed: str = "",
) -> str:
    """The held-out loss of both sides, the difference, and what speaks against it."""
    word = "improvement" if gain.value >= 0 else "change"
    doubt = "" if gain.low > 0 else ", which is not clearly better"
    if gain.high < 0:
        doubt = ", which is worse"
    if noise is not None and 0 < gain.low <= noise:
        doubt = f", which is not clearly above the {number(noise)} of measuring twice"
    lost = f"; {', '.join(worse)} got worse" if worse else ""
    said = (
        f"on {plural(gain.n, 'held-out row')} the tuned model needs {number(rows.tuned)} {unit} "
        f"where the base needed {number(rows.base)} ({word} {measurement(gain)}){doubt}{lost}"
    )
    if not guessed:
        return said
    # What speaks against a gain comes first, so that nobody stops reading behind "improvement".
    return f"{guessed}, though {said}" if gain.low > 0 else f"{said}; {guessed}"


def kept_summary(
    drift: Interval, limit: float, unit: str, what: str, lost: Sequence[str] = ()
) -> str:
    """What `what` (general text, or a file) costs now, and how that stands to the limit.

    `lost` are the domains of general text that got worse most.
    """
    more = "more" if drift.value > 0 else "less"
    cost = f"{what} costs {number(abs(drift.value))} {unit} {more}"
    if drift.high <= limit:
        return f"{cost} (limit {number(limit)})" if drift.value > 0 else cost
    where = "above" if drift.low > limit else "not surely within"
    interval = f"95 % interval {number(drift.low)} to {number(drift.high)}"
    most = f", most in {' and '.join(lost)}" if lost else ""
    return f"{cost} ({interval}), {where} the limit of {number(limit)}{most}"


def memorised_summary(gap: Interval, gain: float, limit: float, unit: str) -> str:
    """How much of what was gained on trained rows is also gained on unseen ones."""
    if gain == 0:
        return "nothing was gained on the trained rows, so nothing was memorised"
    if gap.value <= 0:
        return f"rows never seen gained as much as trained rows ({number(gain)} {unit})"
    share = percent(max(0.0, 1 - gap.value / gain))
    judged = "" if gap.high <= limit else f", above the limit of {number(limit)}"
    if gap.value >= gain:
        return (
            f"nothing of the {number(gain)} {unit} gained on trained rows carries over to rows "
            f"never seen (their distance grew by {measurement(gap)}{judged})"
        )
    return (
        f"{share} of the gain on trained rows carries over to rows never seen ({number(gap.value)} "
        f"of {number(gain)} {unit} does not, 95 % interval {number(gap.low)} to "
        f"{number(gap.high)}{judged})"
    )


def course_sentence(course: Course, unit: str = "nats per token") -> str:
    """When held-out loss was best during training, and on which rows the weights were chosen."""
    if not course.validations:
        return "Held-out loss was not measured during training; the last weights were kept."
    if not course.chosen_on_judged:
        return _best_step(course, unit)
    return (
        f"{_best_step(course, unit)} There were too few held-out rows to choose the weights on "
        "some and judge on others, so the judged loss is slightly too good."
    )


def _best_step(course: Course, unit: str) -> str:
    best = min(course.validations, key=lambda v: v.loss)
    last = course.validations[-1]
    kept_weights = f"the weights of step {course.kept_step} were kept"
    if course.last_step < course.planned_steps and last.loss > best.loss:
        end = f"{number(last.epoch)} of {number(course.planned_epochs)}"
        return f"Stopped at epoch {end}: {_rise(best, last, unit)}; {kept_weights}."
    if last.loss > best.loss:
        return f"After step {best.step} {_rise(best, last, unit)}; {kept_weights}."
    found, figure = "Held-out loss was lowest", f"{number(last.loss)} {unit}"
    if last.grade is not None:
        found, figure = "The held-out grade was highest", number(last.grade)
    return f"{found} at the last measurement (step {last.step}, {figure}); {kept_weights}."


def _rise(best: Validation, last: Validation, unit: str) -> str:
    if best.grade is not None and last.grade is not None:
        return f"the held-out grade fell from {number(best.grade)} to {number(last.grade)}"
    return f"held-out loss rose from {number(best.loss)} to {number(last.loss)} {unit}"


def served_summary(found: Parity) -> str:
    """How far the saved model is from the one that was trained."""
    prompts = (
        f"{found.same_prefixes} of {plural(found.prefixes, 'prompt')} "
        f"{'has' if found.prefixes == 1 else 'have'} the trained token ids"
    )
    side = "within" if found.max_difference <= found.tolerance else "above"
    return (
        f"the saved model opened afresh differs from the trained one by at most "
        f"{found.max_difference:.2g} nats per token on {plural(found.rows, 'row')} "
        f"({side} the tolerance of {found.tolerance:g}) and {prompts}"
    )
