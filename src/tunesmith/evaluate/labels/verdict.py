"""The five answers about a model that labels, and the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Interval, PairedRows, paired_change, paired_rate_change
from tunesmith.evaluate.judgement import Judgement, judged, unmeasured
from tunesmith.evaluate.labels import fields, scores
from tunesmith.evaluate.labels.calibration import answered
from tunesmith.evaluate.labels.measured import Certificate, LabelMeasured, Rival, Said
from tunesmith.evaluate.labels.rivals import CONSTANT
from tunesmith.evaluate.verdict import Verdict, concluded
from tunesmith.evaluate.wording import course_sentence, number, percent, plural

CARRIED = 0.5
"""The least share of the gain on trained rows that rows never seen must have, too."""

KEPT = (
    "a model that labels says nothing else, so there is nothing else that it could have forgotten; "
    "the base itself is as it was"
)


def judge_labels(measured: LabelMeasured, seed: int = 0) -> Verdict:
    """Answer the five questions. Ship when it learned and no measured question fails."""
    return concluded(
        learned(measured, seed),
        unmeasured(KEPT),
        memorised(measured, seed),
        worth(measured, seed),
        served(measured.certificate),
    )


def learned(measured: LabelMeasured, seed: int) -> Judgement:
    """Tuned against what a constant answer gets on the same held-out rows."""
    constant = _rival(measured, CONSTANT)
    if not measured.held_out or constant is None:
        return unmeasured("nothing was measured on held-out rows")
    found = _gain(measured, constant, seed, "learned")
    reached = _headline(measured, measured.held_out)
    summary = (
        f"on {plural(found.n, 'held-out row')} it reaches {reached}, "
        f"where {constant.title} gets {_headline(measured, constant.rows)}"
    )
    if found.low <= 0:
        summary += ", which is not clearly better"
    detail = {
        "summary": summary,
        "figures": scores.figures(measured.held_out, measured.problem, measured.names),
        "rule": "passes when the whole interval of the difference is above zero",
        "remarks": _believable(measured),
    }
    return judged(found.low > 0, found, scores.UNITS[measured.problem], detail)


def memorised(measured: LabelMeasured, seed: int) -> Judgement:
    """How much of the gain on trained rows the held-out rows have, too."""
    constant = _rival(measured, CONSTANT)
    if not measured.trained or constant is None:
        return unmeasured("the trained rows were not asked again")
    problem = measured.problem
    base, _ = scores.mean_of(constant.rows, problem)
    seen, seen_variance = scores.mean_of(measured.trained, problem)
    unseen, unseen_variance = scores.mean_of(measured.held_out, problem)
    gain, carried = round(seen - base, 12), round(unseen - base, 12)
    share = carried / gain if gain > 0 else 1.0
    reach, rows = 1.96 * (seen_variance + unseen_variance) ** 0.5, len(measured.held_out)
    gap = Interval(gain - carried, gain - carried - reach, gain - carried + reach, rows)
    limit = (1 - CARRIED) * max(gain, 0.0)
    summary = (
        f"trained rows reach {_headline(measured, measured.trained)}, held-out rows "
        f"{_headline(measured, measured.held_out)}"
    )
    if gain > 0:
        summary += f": {percent(min(1.0, max(0.0, share)))} of what was gained carries over"
    detail = {
        "summary": summary,
        "course": course_sentence(measured.course, scores.LOSSES[problem]),
        "rule": f"fails when less than {CARRIED:.0%} of the gain on trained rows carries over",
    }
    return judged(gap.value <= limit, gap, scores.UNITS[problem], detail)


def worth(measured: LabelMeasured, seed: int) -> Judgement:
    """Tuned against the best way to label the same rows without this training."""
    others = [each for each in measured.rivals if each.name != CONSTANT]
    if not others or not measured.held_out:
        return unmeasured("it was not compared with simpler ways to label the same rows")
    compared = [(each, _gain(measured, each, seed, f"worth {each.name}")) for each in others]
    best, gain = min(compared, key=lambda pair: pair[1].value)
    word = "beats" if gain.low > 0 else "is worse than" if gain.high < 0 else "is no better than"
    ours = _headline(measured, _beside(measured, best))
    summary = (
        f"it {word} {best.title} ({ours} against {_headline(measured, best.rows)}, difference "
        f"{_interval(gain, measured.problem)})"
    )
    detail = {
        "summary": summary,
        "best": best.name,
        "rivals": [
            {
                "name": each.name,
                "title": each.title,
                "figures": scores.figures(each.rows, measured.problem, measured.names),
                "gain": found.value,
                "low": found.low,
                "high": found.high,
                "n": found.n,
            }
            for each, found in compared
        ],
        "rule": (
            "passes when the whole interval of the difference to the best of them is above zero; "
            "fails when the tuned model is no better, for the simpler way then is enough"
        ),
    }
    return judged(gain.low > 0, gain, scores.UNITS[measured.problem], detail)


def served(found: Certificate | None, unit: str = "largest difference of a row") -> Judgement:
    """The saved model opened afresh against the one that was trained."""
    if found is None:
        return unmeasured("the saved model was not opened again")
    same = found.same_ids == found.rows
    within = found.max_difference <= found.tolerance
    side = "within" if within else "above"
    summary = (
        f"the saved model opened afresh differs by at most {found.max_difference:.2g} on "
        f"{plural(found.rows, 'row')} ({side} the tolerance of {found.tolerance:g}), and "
        f"{found.same_ids} of {found.rows} rows have the trained token ids"
    )
    return Judgement(
        within and same,
        found.max_difference,
        None,
        None,
        unit,
        found.rows,
        {"summary": summary},
    )


def _gain(measured: LabelMeasured, rival: Rival, seed: int, name: str) -> Interval:
    """Mean score of the tuned model minus that of another way, row by row."""
    if measured.problem == "tags":
        drawn = derive(seed, "bootstrap", name)
        return fields.f1_change(rival.rows, measured.held_out, drawn)
    ours = scores.row_scores(_beside(measured, rival), measured.problem)
    theirs = scores.row_scores(rival.rows, measured.problem)
    rows = PairedRows(theirs, ours, np.ones(len(ours)))
    if measured.problem == "single_label":
        return paired_rate_change(rows)
    return paired_change(rows, derive(seed, "bootstrap", name))


def _beside(measured: LabelMeasured, rival: Rival) -> Sequence[Said]:
    """What the tuned model said of the rows that the other way was asked: some or all."""
    if len(rival.rows) == len(measured.held_out):
        return measured.held_out
    asked = {row.origin for row in rival.rows}
    return [row for row in measured.held_out if row.origin in asked]


def _rival(measured: LabelMeasured, name: str) -> Rival | None:
    return next((each for each in measured.rivals if each.name == name), None)


def _headline(measured: LabelMeasured, rows: Sequence[Said]) -> str:
    """The first figure, in words."""
    found = scores.figures(rows, measured.problem, measured.names)
    name, value = next(iter(found.items()))
    if measured.problem == "regression":
        return f"a {name} of {number(value)}"
    if name == "accuracy":
        return f"{percent(value)} {name}"
    if name == "steps right":
        return f"{percent(value)} of steps right"
    return f"{name} {number(value)}"


def _interval(found: Interval, problem: str) -> str:
    if problem != "single_label":
        ends = f"{number(found.low)} to {number(found.high)}"
        return f"{number(found.value)}, 95 % interval {ends}"
    ends = f"{100 * found.low:.1f} to {100 * found.high:.1f}"
    return f"{100 * found.value:.1f} points, 95 % interval {ends}"


def _believable(measured: LabelMeasured) -> list[str]:
    """What is to be said of the stated probabilities, or of tags that mark no whole span."""
    if measured.problem == "tags":
        return _strays(measured)
    found = measured.calibration
    if found is None or measured.problem != "single_label":
        return []
    said = [
        f"its probabilities are off by {percent(found.after)} on average (expected calibration "
        f"error; {percent(found.before)} before they were divided by the temperature "
        f"{number(found.temperature)})"
    ]
    for share, threshold, right in dict.fromkeys(_left(measured)):
        if share == 0:
            continue
        said.append(
            f"left to a person below {percent(threshold)}: {percent(share)} of the rows, and "
            f"{percent(right)} of the others are right"
        )
    return said


def _strays(measured: LabelMeasured) -> list[str]:
    wanted, said = fields.stray_words(measured.held_out)
    if not wanted and not said:
        return []
    return [
        f"{plural(said, 'word')} of what it said, and {wanted} of what was wanted, go on with a "
        "span that does not stand before them: a span is taken to begin there, as the evaluation "
        "of CoNLL does"
    ]


def _left(measured: LabelMeasured) -> list[tuple[float, float, float]]:
    sure = np.array([row.sure for row in measured.held_out])
    right = np.array([row.wanted == row.said for row in measured.held_out])
    return answered(sure, right)


def details(measured: LabelMeasured) -> dict[str, Any]:
    """Per-class figures and the commonest mistakes, as they stand in the report."""
    if measured.problem in ("regression", "steps"):
        return {}
    if measured.problem == "tags":
        return {"classes": fields.by_type(measured.held_out)}
    found: dict[str, Any] = {"classes": scores.by_class(measured.held_out, measured.names)}
    if measured.problem == "single_label":
        found["confusions"] = scores.confusions(measured.held_out)
    return found
