"""The clauses that carry the numbers of preferences into sentences."""

from __future__ import annotations

from typing import Any

from tunesmith.evaluate.bootstrap import Interval, PairedRows
from tunesmith.evaluate.preferences.measured import Implicit
from tunesmith.evaluate.preferences.rewards import TITLES
from tunesmith.evaluate.preferences.safety import safety_summary
from tunesmith.evaluate.wording import number, percent, plural

Json = dict[str, Any]


def told(found: Interval) -> Json:
    """As it stands in JSON."""
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


def share(found: Json) -> str:
    """`71 % (95 % interval 62 % to 79 %)`."""
    ends = f"95 % interval {percent(found['low'])} to {percent(found['high'])}"
    return f"{percent(found['value'])} ({ends})"


def win_clause(rate: Interval, against: str, by: str) -> str:
    """Who wins how often, by whose word."""
    return (
        f"by {by} the tuned answers win against those of {against} in {percent(rate.value)} of "
        f"{plural(rate.n, 'held-out prompt')} (95 % interval {percent(rate.low)} to "
        f"{percent(rate.high)}, ties count half)"
    )


def length_clause(found: Json | None) -> str:
    """The win rate at equal length, behind the other one."""
    if found is None:
        return ""
    at = found["at_equal"]
    return (
        f"at equal length in {percent(at['value'])} ({percent(at['low'])} to "
        f"{percent(at['high'])}; {number(found['base'])} tokens before, {number(found['tuned'])} "
        "now)"
    )


def accuracy_clause(found: Json, what: str, implicit: Implicit) -> str:
    """How often the implicit reward agrees with people, and how often it did before."""
    thing = "pair" if what == "pairs" else "rated answer"
    return (
        f"its {TITLES[implicit]} agrees with people in {share(found['accuracy'])} of "
        f"{plural(found['accuracy']['n'], f'held-out {thing}')} (before training "
        f"{percent(found['before']['value'])})"
    )


def seen_clause(seen: PairedRows, unseen: PairedRows) -> str:
    """Mean scores on trained and on held-out prompts."""
    return (
        f"the mean score went from {number(seen.base)} to {number(seen.tuned)} on trained prompts "
        f"and from {number(unseen.base)} to {number(unseen.tuned)} on held-out ones"
    )


def conduct_seen_clause(seen: PairedRows, unseen: PairedRows) -> str:
    """What is refused or answered as it should be, of trained and of held-out prompts."""
    return (
        f"{percent(seen.tuned)} of {plural(len(seen), 'trained prompt')} are refused or answered "
        f"as they should be (before training {percent(seen.base)}), and {percent(unseen.tuned)} of "
        f"{plural(len(unseen), 'held-out one')} (before training {percent(unseen.base)})"
    )


def remarks(detail: Json, headline: str, implicit: Implicit) -> list[str]:
    """What is said of *Did it learn?* beside `headline` and the alarms, clause by clause."""
    said = [*_hacking(detail["hacking"]), *_near(detail["length"])]
    said += [_second(each) for each in detail["wins"][1:]]
    said += [
        accuracy_clause(found, name, implicit)
        for name in ("pairs", "ratings")
        if (found := detail[name])
    ]
    if detail["safety"]:
        said.append(safety_summary(detail["safety"]))
        said += detail["safety"]["unknown"] if detail["wins"] else []
    said += [each["summary"] for name in ("diversity", "kl_spent") if (each := detail[name])]
    said += _left_out(detail)
    return [clause for clause in said if clause not in headline]


def _hacking(found: Json | None) -> list[str]:
    if found is None or not found["features"]:
        return []
    if found["suspected"] or found["over_optimised"]:
        return list(found["remarks"])
    none = (
        f"reward hacking was looked for in {len(found['features'])} surface features of the "
        "answers: none of them explains most of what was gained"
    )
    return [none, *found["remarks"]]


def _near(found: Json | None) -> list[str]:
    if found is None:
        return []
    if found["near"] is None:
        return [
            f"only {found['as_long']:,} of {plural(found['n'], 'prompt')} have two answers about "
            "as long as each other, so the win rate at equal length is extrapolated"
        ]
    return [
        f"on the {plural(found['near']['n'], 'prompt')} whose two answers are about as long as "
        f"each other the tuned one wins in {share(found['near'])}"
    ]


def _second(found: Json) -> str:
    return (
        f"by {found['by']} the tuned answers win in {share(found)} of "
        f"{plural(found['n'], 'held-out prompt')}"
    )


def _left_out(detail: Json) -> list[str]:
    """Answers without a grade, and prompts that could not be compared because of them."""
    counts = {name: count for name, count in detail["ungraded"].items() if count}
    if not counts:
        return []
    ways = " and ".join(f"{count:,} of the {name} model's" for name, count in counts.items())
    prompts = plural(detail["wins"][0]["left_out"], "prompt") if detail["wins"] else "all prompts"
    return [
        f"{ways} answers could not be graded: they count neither for nor against it, and {prompts} "
        "could not be compared"
    ]
