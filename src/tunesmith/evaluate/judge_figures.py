"""What a judge's duels amount to: win rates, how far it can be trusted, agreement with people.

Shares that are held against an even chance (won against lost, first-read against second-read) have
the interval of Bonett & Price 2012, of the difference of the two; a tie stands for neither.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tunesmith.evaluate.bootstrap import Interval, PairedRows, paired_rate_change
from tunesmith.evaluate.judge_records import Contest, Duel, Labelled, Preferred
from tunesmith.evaluate.logistic import chance_at_zero

MOST_INCONSISTENT = 0.5
"""A coin changes its verdict with the order in half of the pairs."""

_CLASSES: tuple[Preferred, ...] = ("one", "other", "tie")
_SIGNS: dict[str, float] = {"one": 1.0, "other": -1.0, "tie": 0.0, "same": 0.0}

Figures = dict[str, Any]


def balance(signs: Iterable[float]) -> Interval:
    """The share of the first of two sides, ties half, from +1 (first), −1 (second) and 0 (tie).

    Needs at least one sign.
    """
    signs_R = np.array(list(signs), dtype=np.float64)
    ones_R = np.ones_like(signs_R)
    rows = PairedRows((signs_R < 0).astype(np.float64), (signs_R > 0).astype(np.float64), ones_R)
    found = paired_rate_change(rows)
    share, low, high = ((1 + end) / 2 for end in (found.value, found.low, found.high))
    return Interval(share, low, high, found.n)


def contest_figures(contest: Contest) -> Figures | None:
    """Who won, over the pairs that could be read; None where none could."""
    read = [duel for duel in contest.duels if duel.read]
    if not read:
        return None
    signs = [_SIGNS[duel.winner] for duel in read]
    rate = balance(signs)
    return {
        "against": contest.name,
        "title": contest.title,
        "win_rate": rate.value,
        "low": rate.low,
        "high": rate.high,
        "n": rate.n,
        "won": signs.count(1.0),
        "lost": signs.count(-1.0),
        "tied": signs.count(0.0),
        "same": sum(not duel.asked for duel in read),
        "unread": len(contest.duels) - len(read),
        "length": length_figures(read),
    }


def length_figures(duels: Sequence[Duel]) -> Figures | None:
    """How the length of the answers goes with winning; None where all are as long as each other.

    `longer_won` is the share of the longer answer among pairs with a winner. `win_rate_at_equal` is
    the length-controlled win rate of Dubois et al. 2024 (Length-Controlled AlpacaEval) without the
    terms for the question: P(won) = logistic(a + b tanh(d / rms(d))), d the difference in
    characters, of which it is logistic(a). Both describe; neither says that length was the reason.
    """
    apart = [duel for duel in duels if duel.length_one != duel.length_other]
    decided = [duel for duel in apart if duel.winner != "tie"]
    if not decided:
        return None
    longer = balance(
        _SIGNS[duel.winner] * math.copysign(1, duel.length_one - duel.length_other)
        for duel in decided
    )
    d_R = np.array([duel.length_one - duel.length_other for duel in duels], dtype=np.float64)
    won_R = np.array([(1 + _SIGNS[duel.winner]) / 2 for duel in duels])
    spread = float(np.sqrt((d_R**2).mean()))  # around no difference: there it is read
    return {
        "longer_won": longer.value,
        "low": longer.low,
        "high": longer.high,
        "n": longer.n,
        "win_rate_at_equal": float(
            chance_at_zero(np.tanh(d_R / spread), won_R, np.ones((1, len(d_R))))[0]
        ),
    }


def position_figures(duels: Iterable[Duel]) -> Figures | None:
    """What the order of the answers did, over the pairs that were asked and read; None for none.

    `inconsistent` is the share of pairs whose verdict changed with the order, `first` that of the
    answer read first among all that were preferred, and `low` and `high` are the interval of how
    often a pair's two verdicts lean to the first-read answer rather than to the second. `biased`
    says that the order explains more than a coin would.
    """
    asked = [duel for duel in duels if duel.asked and duel.read]
    if not asked:
        return None
    first = [(duel.straight == "one") + (duel.swapped == "other") for duel in asked]
    second = [(duel.straight == "other") + (duel.swapped == "one") for duel in asked]
    lean = balance(np.sign(np.subtract(first, second)).tolist())
    chosen = sum(first) + sum(second)
    changed = sum(not duel.consistent for duel in asked) / len(asked)
    return {
        "inconsistent": changed,
        "first": sum(first) / chosen if chosen else 0.5,
        "lean": lean.value,
        "low": lean.low,
        "high": lean.high,
        "n": len(asked),
        "biased": changed >= MOST_INCONSISTENT,
    }


def agreement_figures(labels: Sequence[Labelled]) -> Figures | None:
    """How the judge agrees with people; None where no pair has a label and a verdict.

    `agreement` is over the pairs of which people preferred one: the share in which the judge
    prefers the same, its ties half, so chance is one half. `kappa` is over all pairs and the three
    verdicts. `consistent` is the share whose verdict did not change with the order.
    """
    read = [each for each in labels if each.duel.read]
    decided = [each for each in read if each.preferred != "tie"]
    if not decided:
        return None
    found = balance(_SIGNS[each.duel.winner] * _SIGNS[each.preferred] for each in decided)
    return {
        "agreement": found.value,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "kappa": kappa([(each.preferred, each.duel.winner) for each in read]),
        "consistent": sum(each.duel.consistent for each in read) / len(read),
        "labelled": len(labels),
        "tied_by_people": len(read) - len(decided),
        "unread": len(labels) - len(read),
    }


def kappa(pairs: Sequence[tuple[Preferred, Preferred]]) -> float | None:
    """Cohen 1960, A coefficient of agreement for nominal scales; None where chance alone agrees on
    all, so that nothing is left to be measured."""
    table_33 = np.zeros((3, 3))
    for left, right in pairs:
        table_33[_CLASSES.index(left), _CLASSES.index(right)] += 1
    table_33 /= len(pairs)
    by_chance = float(table_33.sum(axis=1) @ table_33.sum(axis=0))
    return None if by_chance == 1 else (float(np.trace(table_33)) - by_chance) / (1 - by_chance)
