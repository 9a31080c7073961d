"""What the data amount to, in words for a terminal and in a page of its own.

`figures` is here the JSON of `runs.figures.Figures`, and `cost` that of its `cost`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.evaluate.pages import page
from tunesmith.evaluate.wording import number, percent, plural

Json = Mapping[str, Any]


def render_page(shown: Json) -> str:
    """One page that loads nothing, from the JSON of `runs.show.ShownData`."""
    figures = shown["figures"]
    lines = [] if figures is None else lines_of(figures, shown["cost"])
    return page("shown.html.j2", shown=shown, figure_lines=lines)


def lines_of(figures: Json, cost: Json | None = None) -> list[tuple[str, str]]:
    """The figures as names and sentences, in the order in which they are read."""
    return list(_lines(figures, cost))


def _lines(figures: Json, cost: Json | None) -> Iterator[tuple[str, str]]:
    rows = figures["rows"]
    dropped = sum(rows["dropped"].values())
    yield (
        "rows",
        f"{rows['rows_in']:,} in: {rows['trained']:,} to train on, {rows['held_out']:,} held out, "
        f"{dropped:,} dropped",
    )
    if dropped:
        counts = sorted(rows["dropped"].items(), key=lambda item: (-item[1], item[0]))
        yield "dropped", ", ".join(f"{reason} {count:,}" for reason, count in counts)
    if figures["stops"]:
        yield "a run", figures["stops"]
    yield (
        "tokens",
        f"{figures['tokens_per_epoch']:,} an epoch in {plural(figures['sequences'], 'sequence')}; "
        f"{figures['supervised_tokens_per_epoch']:,} of them trained "
        f"({percent(figures['supervised_share'])})",
    )
    if figures["held_out_tokens"]:
        yield "held out", plural(figures["held_out_tokens"], "token") + " that are never trained"
    yield "lengths", _lengths(figures)
    yield "repeated", _repeated(figures)
    yield "sharing", _sharing(figures)
    if cost is not None:
        yield "cost", _cost(figures, cost)


def _lengths(figures: Json) -> str:
    lengths, pieces = figures["lengths"], figures["rows_in_pieces"]
    said = (
        f"median {lengths['median']:,}, longest {lengths['longest']:,} of the "
        f"{figures['context']:,} tokens of the context"
    )
    if too_long := figures["rows"]["dropped"].get("too_long", 0):
        said += f"; {_rows_are(too_long)} longer than that, and dropped"
    if pieces:
        why = (
            "longer than that, and cut into pieces"
            if figures["kind"] == "text"
            else "trained one answer at a time, because the template rewrites earlier turns"
        )
        said += f"; {_rows_are(pieces)} {why}"
    return said


def _rows_are(count: int) -> str:
    return f"{plural(count, 'row')} {'is' if count == 1 else 'are'}"


def _repeated(figures: Json) -> str:
    prefix = figures["prefix"]
    if prefix is None:
        return "no two sequences begin with enough tokens in common to be worth sharing"
    looked = prefix["looked_at"]
    part = "" if looked == figures["sequences"] else " that were looked at"
    return (
        f"{prefix['sequences']:,} of {plural(looked, 'sequence')}{part} begin with the same "
        f"{plural(prefix['tokens'], 'token')}: computed once, they would save {prefix['saved']:,}"
    )


def _sharing(figures: Json) -> str:
    tokens, computed = figures["tokens_per_epoch"], figures["computed_tokens_per_epoch"]
    about = "about " if figures["computed_is_estimated"] else ""
    if computed >= tokens:
        return "nothing: no step has a beginning in common that is worth sharing"
    return (
        f"each beginning laid down once a step leaves {about}{computed:,} tokens an epoch to "
        f"compute ({percent(1 - computed / tokens)} saved)"
    )


def _cost(figures: Json, cost: Json) -> str:
    value = f"{cost['cost']:,.2f}" if cost["cost"] >= 0.01 else "less than 0.01"
    return (
        f"{value} at {number(cost['price_per_million'])} a million tokens: {cost['tokens']:,} in "
        f"{plural(figures['epochs'], 'epoch')}"
    )
