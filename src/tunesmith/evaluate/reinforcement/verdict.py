"""The five answers about a model that learned from grades, and the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.seeds import derive
from tunesmith.evaluate import kept as general
from tunesmith.evaluate.bootstrap import Interval, PairedRows, paired_change, paired_rate_change
from tunesmith.evaluate.judgement import Judgement, judged, unmeasured
from tunesmith.evaluate.labels.verdict import CARRIED, served
from tunesmith.evaluate.measure import Measured, Side
from tunesmith.evaluate.reinforcement.measured import Exam, Graded, ReinforceMeasured, both
from tunesmith.evaluate.verdict import Verdict, concluded
from tunesmith.evaluate.wording import course_sentence, number, percent, plural

LOSS = "minus the mean grade"
"""What the weights to keep are chosen by, as a loss."""

Floats = NDArray[np.float64]


def judge_reinforced(measured: ReinforceMeasured, seed: int = 0) -> Verdict:
    """Answer the five questions. Ship when it learned and no measured question fails."""
    return concluded(
        learned(measured, seed),
        kept(measured, seed),
        memorised(measured, seed),
        unmeasured("it was not compared with simpler ways to the same grades"),
        served(measured.certificate, "largest difference of a general text, in nats per token"),
    )


def learned(measured: ReinforceMeasured, seed: int) -> Judgement:
    """The grades of tuned answers against those of the base's, on the same held-out prompts."""
    base, tuned = both(measured.base.held_out, measured.tuned.held_out)
    if not base:
        return unmeasured("no held-out prompt was answered and graded by both models")
    found = paired_change(_rows(base, tuned), derive(seed, "bootstrap", "grades"))
    success = success_change(measured)
    summary = (
        f"on {plural(found.n, 'held-out prompt')} the mean grade went from "
        f"{number(_mean(base))} to {number(_mean(tuned))} (change {_interval(found)}), and "
        f"{percent(success['base'])} successes became {percent(success['tuned'])}"
    )
    if found.low <= 0:
        summary += ", which is not clearly better"
    detail = {
        "summary": summary,
        "success": success,
        "rule": "passes when the whole interval of the change of the grade is above zero",
        "remarks": _remarks(measured, base, tuned),
    }
    return judged(found.low > 0, found, "grade", detail)


def success_change(measured: ReinforceMeasured) -> dict[str, Any]:
    """The share of answers that are a success, by both, and the change with its interval."""
    sides = both(measured.base.held_out, measured.tuned.held_out)
    base, tuned = ((_grades(side) >= measured.success).astype(np.float64) for side in sides)
    change = paired_rate_change(PairedRows(base, tuned, np.ones(len(base))))
    return {
        "from": measured.success,
        "base": float(base.mean()),
        "tuned": float(tuned.mean()),
        "change": change.value,
        "low": change.low,
        "high": change.high,
        "n": change.n,
    }


def kept(measured: ReinforceMeasured, seed: int) -> Judgement:
    """The loss on general text, as of any model that writes; see `evaluate.kept`."""
    sides = (_side(measured.base), _side(measured.tuned))
    return general.kept(Measured(base=sides[0], tuned=sides[1]), seed)


def memorised(measured: ReinforceMeasured, seed: int) -> Judgement:
    """How much of the gain on prompts that were learned from the held-out prompts have, too."""
    seen = both(measured.base.trained, measured.tuned.trained)
    unseen = both(measured.base.held_out, measured.tuned.held_out)
    if not seen[0] or not unseen[0]:
        return unmeasured("prompts that were learned from were not asked again")
    gains = [_grades(tuned) - _grades(base) for base, tuned in (seen, unseen)]
    gain, carried = (float(each.mean()) for each in gains)
    spread = sum(float(each.var()) / len(each) for each in gains) ** 0.5
    low, high = (gain - carried + sign * 1.96 * spread for sign in (-1, 1))
    gap = Interval(gain - carried, low, high, len(gains[1]))
    summary = (
        f"prompts that were learned from reach {number(_mean(seen[1]))} (the base "
        f"{number(_mean(seen[0]))}), held-out ones {number(_mean(unseen[1]))}"
    )
    if gain > 0:
        share = min(1.0, max(0.0, carried / gain))
        summary += f": {percent(share)} of what was gained carries over"
    detail = {
        "summary": summary,
        "course": course_sentence(measured.course, LOSS),
        "rule": f"fails when less than {CARRIED:.0%} of the gain on learned prompts carries over",
    }
    return judged(gap.value <= (1 - CARRIED) * max(gain, 0.0), gap, "grade", detail)


def _remarks(
    measured: ReinforceMeasured, base: Sequence[Graded], tuned: Sequence[Graded]
) -> list[str]:
    """What else there is to be known of the answers."""
    before, after = (float(np.mean([each.tokens for each in side])) for side in (base, tuned))
    said = [
        f"answers have {number(after)} tokens on average, those of the base {number(before)}",
        f"{measured.tokens_sampled:,} tokens were sampled to learn from",
    ]
    left_out = len(measured.tuned.held_out) - len(tuned)
    if left_out:
        reasons = {each.failed for each in measured.tuned.held_out if each.failed}
        why = f" ({sorted(reasons)[0]})" if reasons else ""
        said.append(f"{plural(left_out, 'prompt')} without a grade on a side were left out{why}")
    return said


def _rows(base: Sequence[Graded], tuned: Sequence[Graded]) -> PairedRows:
    return PairedRows(_grades(base), _grades(tuned), np.ones(len(base)))


def _grades(rows: Sequence[Graded]) -> Floats:
    return np.array([row.grade for row in rows], dtype=np.float64)


def _mean(rows: Sequence[Graded]) -> float:
    return float(_grades(rows).mean())


def _side(exam: Exam) -> Side:
    return Side(probes=exam.probes, samples=exam.samples)


def _interval(found: Interval) -> str:
    ends = f"{number(found.low)} to {number(found.high)}"
    return f"{number(found.value)}, 95 % interval {ends}"
