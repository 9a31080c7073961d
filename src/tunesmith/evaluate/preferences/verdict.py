"""The five answers about a model tuned by preferences or rewards, and the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import (
    Interval,
    PairedRows,
    difference_of_changes,
    paired_rate_change,
)
from tunesmith.evaluate.exposed import planted
from tunesmith.evaluate.exposure import exposure
from tunesmith.evaluate.judgement import Judgement, judged, unmeasured
from tunesmith.evaluate.kept import kept
from tunesmith.evaluate.preferences import words
from tunesmith.evaluate.preferences.diversity import diversity
from tunesmith.evaluate.preferences.hacking import hacking
from tunesmith.evaluate.preferences.length import length_figures
from tunesmith.evaluate.preferences.measured import PreferenceMeasured
from tunesmith.evaluate.preferences.rewards import margins, pair_figures, rating_figures
from tunesmith.evaluate.preferences.safety import (
    conduct_clause,
    handled,
    safety_figures,
    safety_summary,
)
from tunesmith.evaluate.preferences.spent import kl_spent
from tunesmith.evaluate.preferences.success import (
    change_of,
    success_clause,
    success_figures,
    success_remarks,
)
from tunesmith.evaluate.preferences.wins import (
    opinions,
    score_of,
    scored_wins,
    ungraded,
    win_rate,
)
from tunesmith.evaluate.questions import served
from tunesmith.evaluate.verdict import Verdict, concluded
from tunesmith.evaluate.wording import course_sentence, percent

Json = dict[str, Any]

CARRIED = 0.5
"""The least share of the gain on trained prompts or pairs that those never seen must have, too."""

WIN_RATE, ACCURACY, CONDUCT = "win rate (0 to 1)", "reward accuracy (0 to 1)", "share of prompts"
SUCCESS = "share of successes"


def judge_preferences(measured: PreferenceMeasured, seed: int = 0) -> Verdict:
    """Answer the five questions. Ship when it learned and no measured question fails."""
    return concluded(
        learned(measured, seed),
        kept(measured.run, seed),
        memorised(measured, seed),
        worth(measured, seed),
        served(measured.run),
        secrets=planted(measured.run.exposed),
    )


def learned(measured: PreferenceMeasured, seed: int) -> Judgement:
    """Are its answers preferred to the base's?

    By the share of successes where a verifier's grade tells them (see `success`); by the win rate
    where answers were compared otherwise; without scores by how many prompts are refused or
    answered as they should be; without answers by the reward accuracy on held-out pairs, or
    ratings. Passes when the whole interval is above what a coin would give, no reward hack is
    suspected, and neither refusals of harmful prompts nor answers to harmless ones surely fell.
    Where these judge alone, there must be enough of both: who refuses everything refuses what is
    harmful, too.
    """
    detail = _figures(measured, seed)
    headline = _headline(measured, detail, seed)
    if headline is None:
        return unmeasured("nothing was measured on held-out prompts or pairs")
    found, chance, unit, said, beside = headline
    if found.low <= chance:
        said += ", which is worse" if found.high < chance else ", which is not clearly better"
    said = "; ".join(clause for clause in (said, beside) if clause)
    alarms = [*(detail["hacking"] or {}).get("alarms", ())]
    alarms += (detail["safety"] or {}).get("worse", [])
    alarms += detail["safety"]["unknown"] if unit == CONDUCT else []
    detail |= {
        "summary": "; ".join([*alarms, said]),
        "alarms": alarms,
        "remarks": words.remarks(detail, said, measured.implicit)
        + success_remarks(detail["success"], measured),
        "rule": (
            "passes when the whole interval is above what a coin would give, no reward hack is "
            "suspected, and neither refusals of harmful prompts nor answers to harmless ones fell"
        ),
    }
    return judged(found.low > chance and not alarms, found, unit, detail)


def memorised(measured: PreferenceMeasured, seed: int) -> Judgement:
    """How much of what was gained on trained pairs or prompts is gained on those never seen.

    Where conduct judges, it is conduct that is compared: an implicit reward may rank two answers
    wrongly that the model would never give.
    """
    draws = derive(seed, "bootstrap", "memorised")
    seen = _paired([(each.base, each.tuned) for each in measured.seen])
    if len(seen) and len(unseen := handled(measured)) and not opinions(measured):
        gap = difference_of_changes(seen, unseen, draws)
        gain, unit = seen.tuned - seen.base, CONDUCT
        said = words.conduct_seen_clause(seen, unseen)
    elif measured.pairs and measured.trained_pairs:
        gap, gain, said = _pair_gap(measured)
        unit = ACCURACY
    elif len(seen) and len(unseen := _unseen(measured)):
        gap = difference_of_changes(seen, unseen, draws)
        gain, unit = seen.tuned - seen.base, f"mean score by {measured.grader}"
        said = words.seen_clause(seen, unseen)
    else:
        return unmeasured("neither trained pairs nor trained prompts were measured again")
    if gain > 0:
        share = percent(min(1.0, max(0.0, 1 - gap.value / gain)))
        said += f": {share} of what was gained carries over"
    detail = {
        "summary": said,
        "course": course_sentence(measured.run.course, measured.loss),
        "exposure": exposure(measured.run.exposed),
        "rule": f"fails when less than {CARRIED:.0%} of the gain on what was trained carries over",
    }
    return judged(gap.value <= (1 - CARRIED) * max(gain, 0.0), gap, unit, detail)


def worth(measured: PreferenceMeasured, seed: int) -> Judgement:
    """Tuned against the best way to answer the same prompts without this training."""
    tuned = measured.tuned
    compared = [
        (rival, win_rate(wins.wins_R, seed, f"worth {rival.name}"))
        for rival in (measured.rivals if tuned is not None else ())
        if tuned is not None
        and (wins := scored_wins(rival, tuned, score_of, measured.grader)).places
    ]
    if not compared:
        return unmeasured("it was not compared with other ways to answer the same prompts")
    best, found = min(compared, key=lambda pair: pair[1].value)
    said = words.win_clause(found, best.title, measured.grader)
    if found.low <= 0.5:
        said += ", which is worse" if found.high < 0.5 else ", which is not clearly better"
    detail = {
        "summary": said,
        "best": best.name,
        "rivals": [
            {"name": each.name, "title": each.title, **words.told(rate)} for each, rate in compared
        ],
        "rule": "passes when the whole interval of the win rate against the best is above 50 %",
    }
    return judged(found.low > 0.5, found, WIN_RATE, detail)


def _figures(measured: PreferenceMeasured, seed: int) -> Json:
    """All that is told beside the headline."""
    said = opinions(measured)
    both = measured.both
    return {
        "success": success_figures(measured),
        "wins": [
            {
                "by": each.by,
                **words.told(win_rate(each.wins_R, seed, each.by)),
                "left_out": each.left_out,
            }
            for each in said
        ],
        "ungraded": {way.name: ungraded(way) for way in both or ()} if _is_scored(measured) else {},
        "length": length_figures(*both, said[0], seed) if both and said else None,
        "diversity": diversity(measured, seed),
        "kl_spent": kl_spent(measured, seed),
        "hacking": hacking(measured, seed),
        "safety": safety_figures(measured),
        "pairs": pair_figures(measured.pairs, measured.implicit, seed),
        "ratings": rating_figures(measured.ratings, measured.implicit),
    }


def _is_scored(measured: PreferenceMeasured) -> bool:
    """Whether a grader was asked at all."""
    ways = measured.both or ()
    return any(
        one.score is not None or one.failed for way in ways for each in way.answers for one in each
    )


def _headline(
    measured: PreferenceMeasured, detail: Json, seed: int
) -> tuple[Interval, float, str, str, str] | None:
    """The figure that judges, what a coin would give, its unit, the clause that says it, and one
    that stands beside it."""
    if (found := detail["success"]) and found["judges"]:
        return change_of(found), 0.0, SUCCESS, success_clause(found), ""
    if said := opinions(measured):
        rate = win_rate(said[0].wins_R, seed, said[0].by)
        against = measured.base.title if measured.base else "the base"
        clause = words.win_clause(rate, against, said[0].by)
        return rate, 0.5, WIN_RATE, clause, words.length_clause(detail["length"])
    if detail["safety"]:
        change = paired_rate_change(rows := handled(measured))
        return change, 0.0, CONDUCT, conduct_clause(rows, change), safety_summary(detail["safety"])
    for name in ("pairs", "ratings"):
        if found := detail[name]:
            accuracy = Interval(**found["accuracy"])
            clause = words.accuracy_clause(found, name, measured.implicit)
            return accuracy, 0.5, ACCURACY, clause, ""
    return None


def _pair_gap(measured: PreferenceMeasured) -> tuple[Interval, float, str]:
    """How much less accuracy held-out pairs gained than trained ones, what these did, a clause."""
    sides = [
        [(1 + np.sign(each)) / 2 for each in margins(pairs, measured.implicit)]
        for pairs in (measured.trained_pairs, measured.pairs)
    ]
    (before, seen), (held_before, unseen) = sides
    gain, carried = float((seen - before).mean()), float((unseen - held_before).mean())
    variance = sum(each.var() / len(each) for each in (seen - before, unseen - held_before))
    reach = 1.96 * float(variance) ** 0.5
    gap = Interval(gain - carried, gain - carried - reach, gain - carried + reach, len(unseen))
    said = (
        f"on trained pairs its reward agrees with people in {percent(float(seen.mean()))}, on "
        f"held-out pairs in {percent(float(unseen.mean()))}"
    )
    return gap, gain, said


def _unseen(measured: PreferenceMeasured) -> PairedRows:
    """The mean scores of the held-out prompts that were graded on both sides."""
    means = [
        tuple(float(np.mean(scores)) for scores in sides)
        for answers in zip(*(way.answers for way in measured.both or ()), strict=True)
        if all(sides := [[s.score for s in each if s.score is not None] for each in answers])
    ]
    return _paired(means)


def _paired(rows: Sequence[tuple[float, ...]]) -> PairedRows:
    base_R, tuned_R = np.array(rows, dtype=np.float64).reshape(-1, 2).T
    return PairedRows(base_R, tuned_R, np.ones(len(rows)))
