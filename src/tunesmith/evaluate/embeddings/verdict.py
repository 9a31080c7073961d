"""The five answers about a model that makes vectors, and the decision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Interval, PairedRows, paired_change
from tunesmith.evaluate.embeddings import figures
from tunesmith.evaluate.embeddings.measured import BASE, TUNED, Asked, EmbedMeasured, Way
from tunesmith.evaluate.judgement import Judgement, judged, unmeasured
from tunesmith.evaluate.labels.verdict import CARRIED, served
from tunesmith.evaluate.verdict import Verdict, concluded
from tunesmith.evaluate.wording import course_sentence, number, percent, plural

KEPT_LIMIT = 0.1
"""How much of MRR on general text may be lost: as for models that write, a tenth."""


def judge_embeddings(measured: EmbedMeasured, seed: int = 0) -> Verdict:
    """Answer the five questions. Ship when it learned and no measured question fails."""
    return concluded(
        learned(measured, seed),
        kept(measured, seed),
        memorised(measured),
        worth(measured, seed),
        served(measured.certificate, "largest difference of a number of a vector"),
    )


def unit_of(measured: EmbedMeasured) -> str:
    """What the answers are counted in."""
    return figures.SPEARMAN if measured.scored else f"{figures.HEADLINE} (0 to 1)"


def learned(measured: EmbedMeasured, seed: int) -> Judgement:
    """Tuned against the untrained base on the same held-out rows."""
    tuned, base = measured.way(TUNED), measured.way(BASE)
    if tuned is None or base is None or not tuned.rows:
        return unmeasured("nothing was measured on held-out rows")
    found = _gain(measured, base, seed)
    sides = [figures.figures(way.rows, measured.scored) for way in (tuned, base)]
    summary = (
        f"on {plural(found.n, 'held-out row')} it reaches {_told(measured, tuned.rows)}, where "
        f"{base.title} reaches {_told(measured, base.rows)} (difference {_interval(found)})"
    )
    if found.low <= 0:
        summary += ", which is not clearly better"
    detail = {
        "summary": summary,
        "figures": {"tuned": sides[0], "base": sides[1]},
        "candidates": measured.candidates,
        "rule": "passes when the whole interval of the difference is above zero",
        "remarks": [definition(measured)],
    }
    return judged(found.low > 0, found, unit_of(measured), detail)


def definition(measured: EmbedMeasured) -> str:
    """What was asked, in words."""
    if measured.scored:
        return (
            "Spearman's rho says how well the order of the cosines follows that of the scores: 1 "
            "is the same order, 0 none"
        )
    return (
        "recall@k is the share of the texts that belong to an anchor which stand among the k "
        f"nearest of {measured.candidates:,} candidates: the texts of all held-out rows and of "
        f"trained ones ({measured.distractors:,} candidates stand in trained rows alone)"
    )


def kept(measured: EmbedMeasured, seed: int) -> Judgement:
    """Whether the halves of general texts still find each other."""
    found = measured.general
    if found is None:
        return unmeasured("general text was not measured")
    base, tuned = (1 / np.array(ranks) for ranks in (found.base, found.tuned))
    change = paired_change(
        PairedRows(base, tuned, np.ones(len(base))), derive(seed, "bootstrap", "general")
    )
    passed = change.low >= -KEPT_LIMIT
    before, after = found.likeness
    summary = (
        f"on general text, whose first halves are to find their second ones, MRR went from "
        f"{number(float(base.mean()))} to {number(float(tuned.mean()))}"
    )
    if not passed:
        summary += f", where at most {number(KEPT_LIMIT)} may be lost"
    detail = {
        "summary": summary,
        "likeness": {"base": before, "tuned": after},
        "rule": f"passes when the whole interval is above a loss of {number(KEPT_LIMIT)}",
        "remarks": [
            f"two general texts that have nothing to do with each other have a mean cosine of "
            f"{number(before)} by the base and of {number(after)} by the tuned model; near 1 all "
            "texts would look alike"
        ],
    }
    return judged(passed, change, "MRR", detail)


def memorised(measured: EmbedMeasured) -> Judgement:
    """How much of the gain on trained rows the held-out rows have, too."""
    tuned, base = measured.way(TUNED), measured.way(BASE)
    if tuned is None or base is None or not tuned.trained or not tuned.rows:
        return unmeasured("the trained rows were not asked again")
    seen, unseen = (
        figures.row_scores(after, measured.scored) - figures.row_scores(before, measured.scored)
        for after, before in ((tuned.trained, base.trained), (tuned.rows, base.rows))
    )
    gain, carried = float(seen.mean()), float(unseen.mean())
    spread = (seen.var() / len(seen) + unseen.var() / len(unseen)) ** 0.5
    low, high = (gain - carried + sign * 1.96 * spread for sign in (-1, 1))
    gap = Interval(gain - carried, low, high, len(unseen))
    limit = (1 - CARRIED) * max(gain, 0.0)
    summary = (
        f"trained rows reach {_told(measured, tuned.trained)} (the base "
        f"{_told(measured, base.trained)}), held-out rows {_told(measured, tuned.rows)}"
    )
    if gain > 0:
        share = min(1.0, max(0.0, carried / gain))
        summary += f": {percent(share)} of what was gained carries over"
    detail = {
        "summary": summary,
        "course": course_sentence(measured.course, figures.LOSS),
        "rule": f"fails when less than {CARRIED:.0%} of the gain on trained rows carries over",
    }
    return judged(gap.value <= limit, gap, unit_of(measured), detail)


def worth(measured: EmbedMeasured, seed: int) -> Judgement:
    """Tuned against the best way to find the same texts without this training."""
    tuned = measured.way(TUNED)
    others = [each for each in measured.ways if each.name != TUNED]
    if tuned is None or not tuned.rows or len(others) < 2:
        return unmeasured("it was not compared with simpler ways to find the same texts")
    compared = [(each, _gain(measured, each, seed)) for each in others]
    best, found = min(compared, key=lambda pair: pair[1].value)
    word = "beats" if found.low > 0 else "is worse than" if found.high < 0 else "is no better than"
    summary = (
        f"it {word} {best.title} ({_told(measured, tuned.rows)} against "
        f"{_told(measured, best.rows)}, difference {_interval(found)})"
    )
    detail = {
        "summary": summary,
        "best": best.name,
        "rivals": [
            {
                "name": each.name,
                "title": each.title,
                "figures": figures.figures(each.rows, measured.scored),
                "gain": change.value,
                "low": change.low,
                "high": change.high,
                "n": change.n,
            }
            for each, change in compared
        ],
        "rule": (
            "passes when the whole interval of the difference to the best of them is above zero; "
            "fails when the tuned model is no better, for the simpler way then is enough"
        ),
    }
    return judged(found.low > 0, found, unit_of(measured), detail)


def _gain(measured: EmbedMeasured, other: Way, seed: int) -> Interval:
    """The figure that judges, tuned minus another way's, row by row."""
    tuned = measured.way(TUNED)
    assert tuned is not None
    draws = derive(seed, "bootstrap", "embeddings", other.name)
    return figures.change(other.rows, tuned.rows, measured.scored, draws)


def _told(measured: EmbedMeasured, rows: Sequence[Asked]) -> str:
    name, value = next(iter(figures.figures(rows, measured.scored).items()))
    return f"{name} {number(value)}"


def _interval(found: Interval) -> str:
    ends = f"{number(found.low)} to {number(found.high)}"
    return f"{number(found.value)}, 95 % interval {ends}"
