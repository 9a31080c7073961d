"""A comparison of runs as one table for the screen, and as a page with pictures."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.evaluate.bootstrap import RESAMPLES, Interval
from tunesmith.evaluate.charts import Row, interval_chart
from tunesmith.evaluate.compare import Column, Comparison
from tunesmith.evaluate.pages import page
from tunesmith.evaluate.pictures import Picture
from tunesmith.evaluate.tables import Table, points
from tunesmith.evaluate.wording import number, percent

_LOST = "not measured"
_ENDS = ("change", "low", "high")


def table_of(found: Comparison) -> Table:
    """A column a run, a row a measure; differences are to the first run."""
    heads = ("", *(column.name for column in found.columns))
    return Table(heads, [[name, *cells] for name, cells in _rows(found)])


def render_comparison(found: Comparison) -> str:
    """One page that loads nothing."""
    drawn = _losses(found), _differences(found), _prices(found)
    return page(
        "compare.html.j2",
        found=found,
        table=table_of(found),
        pictures=[one for one in drawn if one.svg],
        resamples=RESAMPLES,
    )


def _rows(found: Comparison) -> Iterator[tuple[str, list[str]]]:
    columns = found.columns
    yield "verdict", [column.decision for column in columns]
    yield "base", [column.base for column in columns]
    yield "method", [column.method for column in columns]
    yield "kept step", [f"{column.steps:,}" for column in columns]
    yield f"loss, {found.unit}", [number(column.loss) for column in columns]
    yield "  against the first", [_change(column.change) for column in columns]
    yield "  its base", [_number(column.base_loss) for column in columns]
    for name in dict.fromkeys(each["name"] for column in columns for each in column.metrics):
        both = [_metric(column, name) for column in columns]
        yield name, [value for value, _ in both]
        yield "  against the first", ["", *(change for _, change in both[1:])]
    yield "price on general text", [_kept(column) for column in columns]
    yield "tokens a request", [_number(column.tokens) for column in columns]
    yield "seconds a request", [_number(column.seconds) for column in columns]
    yield "seconds of training", [number(column.training_seconds) for column in columns]


def _change(change: Interval | None) -> str:
    if change is None:
        return ""
    return f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})"


def _number(value: float | None) -> str:
    return _LOST if value is None else number(value)


def _metric(column: Column, name: str) -> tuple[str, str]:
    """A metric's value in this run, and its change to the first."""
    found = next((each for each in column.metrics if each["name"] == name), None)
    if found is None:
        return _LOST, ""
    rate = found["kind"] == "rate"
    change, low, high = ((points if rate else number)(found[at]) for at in _ENDS)
    value = (percent if rate else number)(found["tuned"])
    return value, f"{change}{' points' * rate} ({low} to {high})"


def _kept(column: Column) -> str:
    kept = column.kept
    if kept["value"] is None:
        return _LOST
    said = number(kept["value"])
    if kept["low"] is not None:
        said += f" ({number(kept['low'])} to {number(kept['high'])})"
    return said if kept["pass"] is None else f"{said}, {'passes' if kept['pass'] else 'fails'}"


def _losses(found: Comparison) -> Picture:
    rows = [
        Row(column.name, column.loss, None, None, number(column.loss), start=column.base_loss)
        for column in found.columns
    ]
    title = "Loss on the shared held-out rows"
    svg = interval_chart(rows, f"{found.unit}; lower is better", title)
    return Picture(title, svg, (("base", "its base"), ("tuned", "the run")))


def _differences(found: Comparison) -> Picture:
    rows = [
        Row(column.name, change.value, change.low, change.high, f"{change.value:+.3f}")
        for column in found.columns
        if (change := column.change) is not None
    ]
    title = f"Difference to {found.columns[0].name}"
    svg = interval_chart(rows, f"{found.unit}; below 0 is better", title)
    return Picture(title, svg, (("tuned", "difference on the same rows, with its 95 % interval"),))


def _prices(found: Comparison) -> Picture:
    unit = found.columns[0].kept["unit"]
    rows = [
        Row(
            column.name,
            kept["value"],
            kept["low"],
            kept["high"],
            number(kept["value"]),
            limit=kept["detail"].get("limit"),
        )
        for column in found.columns
        if (kept := column.kept)["value"] is not None and kept["unit"] == unit
    ]
    title = "What the training cost elsewhere"
    svg = interval_chart(rows, f"change in {unit}; above 0 is worse", title)
    return Picture(title, svg, (("tuned", "change, with its 95 % interval"), ("limit", "limit")))
