"""What the verdict says of a judge model, and what the judge may do in it.

A judge never decides by itself. Its opinion of the tuned model's answers against the base's is one
of the figures of *Did it learn?*. It stands in the verdict's sentence once labelled pairs show that
it agrees with people better than chance, and it can fail a run only where the user also set
`judge.decides`. It never passes one.
"""

from __future__ import annotations

from tunesmith.evaluate.judge_figures import (
    Figures,
    agreement_figures,
    contest_figures,
    position_figures,
)
from tunesmith.evaluate.judge_records import Judged
from tunesmith.evaluate.judgement import MINIMUM_ROWS
from tunesmith.evaluate.wording import number, percent, plural

KEY = "judge"
NAME = "preferred by the judge"
DEFINITION = (
    "The share of held-out questions to which a judge model prefers this side's answer. It is "
    "shown the question, the wanted answer and the answers of base and tuned model, twice, with "
    "their places swapped. A tie, a verdict that changes with the places, and two answers that are "
    "the same count half for either side."
)


def opinion(judged: Judged | None) -> Figures | None:
    """`judge` among the details of *Did it learn?*; None where nobody was asked.

    `clause` belongs into the verdict's sentence, None for nothing. `trusted` says that the judge
    agrees with people better than chance, `may_fail` that it may fail the run.
    """
    if judged is None:
        return None
    found = {"model": judged.model, "host": judged.host, "rubric": judged.rubric or None}
    if judged.why:
        said = f"not judged by {judged.model} at {judged.host}: {judged.why}"
        return {**found, "judged": False, "summary": said, "clause": _briefly(judged)}
    contests = [each for one in judged.contests if (each := contest_figures(one)) is not None]
    duels = [duel for contest in judged.contests for duel in contest.duels]
    position = position_figures([*duels, *(each.duel for each in judged.labels)])
    agreement = agreement_figures(judged.labels)
    trusted = _trusted(agreement, position)
    clauses = _clauses(judged, contests, position, agreement, trusted)
    against_base = next((each for each in contests if each["against"] == "base"), None)
    return {
        **found,
        "judged": against_base is not None,
        "clauses": clauses,
        "summary": "; ".join(clauses),
        "clause": _preferred(judged, against_base) if trusted and against_base else None,
        "contests": contests,
        "position": position,
        "agreement": agreement,
        "trusted": trusted,
        "may_fail": trusted and judged.decides,
        "definition": DEFINITION,
    }


def preference(found: Figures | None) -> list[Figures]:
    """The judge's opinion of base and tuned as one of the properties of the answers, if it has one.

    Its change is the share won minus the share lost, and its margin None unless it may fail a run.
    """
    if found is None or not found["judged"]:
        return []
    against = next(each for each in found["contests"] if each["against"] == "base")
    tuned, low, high = against["win_rate"], against["low"], against["high"]
    return [
        {
            "name": NAME,
            "kind": "rate",
            "base": 1 - tuned,
            "tuned": tuned,
            "change": 2 * tuned - 1,
            "low": 2 * low - 1,
            "high": 2 * high - 1,
            "n": against["n"],
            "summary": f"the judge prefers {percent(tuned)} of the tuned answers",
            "key": KEY,
            "definition": DEFINITION,
            "margin": 0.0 if found["may_fail"] else None,
        }
    ]


def _trusted(agreement: Figures | None, position: Figures | None) -> bool:
    if agreement is None or agreement["n"] < MINIMUM_ROWS:
        return False
    return bool(agreement["low"] > 0.5) and not (position is not None and position["biased"])


def _briefly(judged: Judged) -> str:
    return f"not judged by {judged.model}, of which the report says why"


def _clauses(
    judged: Judged,
    contests: list[Figures],
    position: Figures | None,
    agreement: Figures | None,
    trusted: bool,
) -> list[str]:
    said = [_preferred(judged, each) for each in contests]
    if not contests:
        said.append(f"not judged by {judged.model} at {judged.host}: no pair of answers was read")
    if position is not None:
        said.append(_position(position))
    if contests and (length := contests[0]["length"]) is not None:
        said.append(_length(length))
    said.append(_agreement(agreement, trusted))
    return said


def _preferred(judged: Judged, found: Figures) -> str:
    return (
        f"{judged.model} prefers the tuned model's answers to those of {found['title']} in "
        f"{percent(found['win_rate'])} of {plural(found['n'], 'pair')} (95 % interval "
        f"{percent(found['low'])} to {percent(found['high'])}, ties count half)"
    )


def _position(found: Figures) -> str:
    said = (
        f"{percent(found['inconsistent'])} of its verdicts changed with the places of the answers"
    )
    if found["low"] <= 0.5 <= found["high"]:
        return f"{said}, as a coin's would" if found["biased"] else said
    where = "first" if found["lean"] > 0.5 else "second"
    share = found["first"] if where == "first" else 1 - found["first"]
    leaning = f", and {percent(share)} of its preferences are for the answer it reads {where}"
    return f"{said}{leaning}: it is position-biased" if found["biased"] else said + leaning


def _length(found: Figures) -> str:
    said = (
        f"of the two answers the longer one won in {percent(found['longer_won'])} of "
        f"{plural(found['n'], 'decided pair')}"
    )
    if found["low"] <= 0.5 <= found["high"]:
        return said
    word = "longer" if found["longer_won"] > 0.5 else "shorter"
    return (
        f"{said}: it favours {word} answers or {word} ones are better, and at equal length the win "
        f"rate would be {percent(found['win_rate_at_equal'])}"
    )


def _agreement(found: Figures | None, trusted: bool) -> str:
    if found is None:
        return "its agreement with people was not measured (judge.labels), so it decides nothing"
    said = (
        f"on {plural(found['n'], 'labelled pair')} it agrees with people in "
        f"{percent(found['agreement'])} (95 % interval {percent(found['low'])} to "
        f"{percent(found['high'])}, chance 50 %"
        + ("" if found["kappa"] is None else f"; Cohen's kappa {number(found['kappa'])}")
        + ")"
    )
    if trusted:
        return said
    if found["low"] > 0.5 and found["n"] >= MINIMUM_ROWS:
        return f"{said}, but its verdicts follow the places of the answers, so it decides nothing"
    return f"{said}, which is not surely better than chance, so it decides nothing"
