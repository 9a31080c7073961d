"""The tables of the report: for each question of the verdict the numbers behind its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.evaluate.judge_tables import (
    CONTEST_HEADS,
    TRUST_HEADS,
    contest_rows,
    trust_rows,
    trust_words,
)
from tunesmith.evaluate.measure import Cost, Measured, Prices
from tunesmith.evaluate.money import request_price
from tunesmith.evaluate.readings import Way, changes_of, definitions_of, metrics_of, ways_of
from tunesmith.evaluate.wording import amount, number, percent

Json = Mapping[str, Any]

_LOST = "not measured"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under `heads`, all text; `words` define what they name."""

    heads: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    words: Sequence[tuple[str, str]] = ()


def tables_of(verdict: Json, measured: Measured) -> dict[str, list[Table]]:
    """The tables of each question; none where nothing was measured."""
    found = {
        "learned": [_learned(verdict["learned"]), *_judge(verdict["learned"])],
        "kept": [_kept(verdict["kept"])],
        "memorised": [_memorised(verdict["memorised"])],
        "worth": [_worth(ways_of(verdict["worth"], measured), measured.prices)],
    }
    if exposure := verdict["memorised"]["detail"].get("exposure"):
        found["memorised"].append(_exposure(exposure))
    return {key: [table for table in found.get(key, ()) if table.rows] for key in verdict}


def _judge(answer: Json) -> list[Table]:
    """What a judge model prefers, and how far it can be trusted."""
    found = answer["detail"].get("judge")
    trust = trust_rows(found)
    return [
        Table(CONTEST_HEADS, contest_rows(found)),
        Table(TRUST_HEADS, trust, trust_words(trust)),
    ]


def _learned(answer: Json) -> Table:
    detail, rows = answer["detail"], []
    if {"base", "tuned"} <= detail.keys():
        loss = f"Loss of the wanted answer, {answer['unit']} (lower is better)"
        sides = number(detail["base"]), number(detail["tuned"])
        change = _change(-answer["value"], -answer["high"], -answer["low"])
        rows.append([loss, *sides, *change, f"{answer['n']:,}"])
    noise = detail.get("noise_floor") or {}
    if noise.get("value") is not None:
        said = f"Noise of measuring twice, {noise['unit']}"
        rows.append([said, "", "", number(noise["value"]), "", f"{noise['rows']:,}"])
    rows += [_metric(found) for found in metrics_of(detail)]
    heads = ("Measure", "Base", "Tuned", "Change", "95 % interval", "Rows")
    return Table(heads, rows, definitions_of(detail))


def _metric(found: Json) -> list[str]:
    """Name, both sides, change, interval and rows of one metric; shares in percent and points."""
    if found["kind"] == "rate":
        sides = [percent(found["base"]), percent(found["tuned"])]
        change, low, high = (points(found[end]) for end in ("change", "low", "high"))
        changes = [f"{change} points", f"{low} to {high}"]
    else:
        sides = [number(found["base"]), number(found["tuned"])]
        changes = _change(found["change"], found["low"], found["high"])
    return [found["name"], *sides, *changes, f"{found['n']:,}"]


def points(share: float) -> str:
    """A difference of two shares in points of a hundred, with its sign."""
    rounded = round(100 * share)
    return f"{rounded:+d}" if rounded else "0"


def _change(value: float, low: float, high: float) -> list[str]:
    sign = "+" if value > 0 else ""
    return [f"{sign}{number(value)}", f"{number(low)} to {number(high)}"]


def _kept(answer: Json) -> Table:
    rows = [
        [
            name,
            f"{number(found['change'])} {unit}",
            f"{number(found['low'])} to {number(found['high'])}",
            "" if found.get("limit") is None else number(found["limit"]),
            f"{found['n']:,}",
        ]
        for unit, changes in changes_of(answer)
        for name, found in changes
    ]
    return Table(("On", "Change (above 0 is worse)", "95 % interval", "Limit", "Rows"), rows)


def _memorised(answer: Json) -> Table:
    sides = [("Rows trained on", "train"), ("Held-out rows", "held_out")]
    rows = [
        [
            name,
            number(found["base"]),
            number(found["tuned"]),
            number(found["base"] - found["tuned"]),
            f"{found['n']:,}",
        ]
        for name, key in sides
        if (found := answer["detail"].get(key))
    ]
    return Table((f"Loss, {answer['unit']}", "Base", "Tuned", "Gain", "Rows"), rows)


def _exposure(found: Json) -> Table:
    rows = [
        [
            f"{group['repeats']} × an epoch" if group["repeats"] else "never (controls)",
            f"{group['secrets']:,}",
            f"{group['recalled']:,}",
            f"{number(group['bits'])} bits",
            f"{number(group['least'])} to {number(group['most'])}",
        ]
        for group in found["groups"]
    ]
    heads = ("Planted secrets, seen", "Secrets", "Recalled", "Mean exposure", "From least to most")
    return Table(heads, rows)


def _worth(ways: Sequence[Way], prices: Prices | None) -> Table:
    heads = ("Asked", "Loss", "Exact", "Tokens read", "Tokens written", "Seconds a request")
    if prices is None:
        return Table(heads, [[way.title, *_way(way)] for way in ways])
    rows = [[way.title, *_way(way), _paid(way, prices)] for way in ways]
    return Table((*heads, "1,000 requests, at your prices"), rows)


def _paid(way: Way, prices: Prices) -> str:
    price = request_price(prices, _cost(way.cost) if way.cost else None)
    return _LOST if price is None else amount(1000 * price, prices.currency)


def _cost(told: Json) -> Cost:
    """As it stands in JSON, where the sum of its tokens is told, too."""
    return Cost(told["prompt_tokens"], told["answer_tokens"], told["seconds"], told["requests"])


def _way(way: Way) -> list[str]:
    cost = way.cost or {}
    exact = _LOST if way.exact is None else percent(way.exact)
    costs = [cost.get(key) for key in ("prompt_tokens", "answer_tokens", "seconds")]
    return [_number(way.loss), exact, *map(_number, costs)]


def _number(value: float | None) -> str:
    return _LOST if value is None else number(value)
