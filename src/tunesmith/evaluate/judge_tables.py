"""The tables of a judge model in the report and the model card, read off `verdict.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.evaluate.wording import number, percent

Json = Mapping[str, Any]

CONTEST_HEADS = (
    "Tuned answers against",
    "Preferred",
    "95 % interval",
    "Won, tied, lost",
    "At equal length",
    "Pairs",
)
TRUST_HEADS = ("Can the judge be trusted?", "Share", "95 % interval", "Pairs")

_WORDS = {
    "verdict changed with the places": (
        "Each pair is asked twice, with the places of the answers swapped. Where the two verdicts "
        "differ the pair counts as a tie; a coin would differ in half of them."
    ),
    "answer read first preferred": "The share of the answer read first among those preferred. An "
    "unbiased judge is at 50 %; the interval is of how often a pair leans that way.",
    "longer answer won": (
        "Over the pairs with a winner and answers of unlike length. At equal length is the win "
        "rate that a logistic regression on the difference in length gives for no difference "
        "(after Dubois et al. 2024); neither says that length was the reason."
    ),
    "agrees with people": (
        "Over the labelled pairs of which people preferred one: the share in which the judge "
        "prefers the same, its ties half. Chance is 50 %. Cohen's kappa is over all labelled pairs "
        "and three verdicts; 0 is chance, 1 is full agreement."
    ),
}


def contest_rows(found: Json | None) -> list[list[str]]:
    """The cells of `CONTEST_HEADS`, a row for each side that the tuned model is held against."""
    return [
        [
            each["title"],
            percent(each["win_rate"]),
            _interval(each),
            f"{each['won']:,}, {each['tied']:,}, {each['lost']:,}",
            percent(each["length"]["win_rate_at_equal"]) if each["length"] else "",
            _pairs(each),
        ]
        for each in (found or {}).get("contests", ())
    ]


def trust_rows(found: Json | None) -> list[list[str]]:
    """The cells of `TRUST_HEADS`; what was not measured has no row."""
    return [] if found is None else list(_trust(found))


def trust_words(rows: list[list[str]]) -> list[tuple[str, str]]:
    """What each of these rows means, by its name."""
    return [(row[0], _WORDS[row[0]]) for row in rows if row[0] in _WORDS]


def _trust(found: Json) -> Iterator[list[str]]:
    if position := found.get("position"):
        changed, pairs = percent(position["inconsistent"]), f"{position['n']:,}"
        yield ["verdict changed with the places", changed, "", pairs]
        first = [percent(position["first"]), _interval(position)]
        yield ["answer read first preferred", *first, pairs]
    contests = found.get("contests") or [{}]
    if length := contests[0].get("length"):
        won = percent(length["longer_won"])
        yield ["longer answer won", won, _interval(length), f"{length['n']:,}"]
    if agreement := found.get("agreement"):
        of = f"{agreement['n']:,} of {agreement['labelled']:,} labelled"
        yield ["agrees with people", percent(agreement["agreement"]), _interval(agreement), of]
        if agreement["kappa"] is not None:
            yield ["Cohen's kappa", number(agreement["kappa"]), "", of]
        same = percent(agreement["consistent"])
        yield ["same verdict in both orders, labelled pairs", same, "", of]


def _interval(found: Json) -> str:
    return f"{percent(found['low'])} to {percent(found['high'])}"


def _pairs(found: Json) -> str:
    beside = {"the same": found["same"], "not read": found["unread"]}
    said = [f"{count:,} {what}" for what, count in beside.items() if count]
    return f"{found['n']:,} ({', '.join(said)})" if said else f"{found['n']:,}"
