"""The pictures of the report: for each question of the verdict what its numbers look like.

Each is made of what is there: a question that was not measured has no picture, and neither has a
detail that an older run lacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from tunesmith.evaluate.charts import (
    Mark,
    Row,
    Series,
    interval_chart,
    line_chart,
    thinned,
)
from tunesmith.evaluate.measure import Course, Measured
from tunesmith.evaluate.pairing import NATS_PER_TOKEN
from tunesmith.evaluate.readings import changes_of, metrics_of, ways_of
from tunesmith.evaluate.wording import number, percent, plural

Json = Mapping[str, Any]
Lines = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Picture:
    """One chart: its `title`, the SVG, its `keys` as (kind, what it is), and a `note` below."""

    title: str
    svg: str
    keys: tuple[tuple[str, str], ...] = ()
    note: str = ""


def pictures_of(verdict: Json, measured: Measured, steps: Lines) -> dict[str, list[Picture]]:
    """The pictures of each question. `steps` are the lines of metrics.jsonl that are steps."""
    found: dict[str, list[Picture | None]] = {
        "learned": [loss_picture(steps, measured.course), _metrics(verdict["learned"])],
        "kept": [*_kept(verdict["kept"]), _frontier(verdict["kept"])],
        "memorised": [_gap(steps, measured.course), _gains(verdict["memorised"])],
        "worth": [_ways(verdict["worth"], measured), _break_even(verdict["worth"])],
        "parity": [_parity(verdict["parity"])],
    }
    return {key: [one for one in some if one and one.svg] for key, some in found.items()}


def loss_picture(steps: Lines, course: Course, unit: str = NATS_PER_TOKEN) -> Picture:
    """The loss of trained and held-out rows over the steps."""
    trained = thinned([(line["step"], line["loss"]) for line in steps])
    held = [(each.step, each.loss) for each in course.validations]
    kept = [Mark(course.kept_step, f"kept: step {course.kept_step}")] if held else []
    title = "Loss while it was trained"
    series = [
        Series("trained rows", trained, "train"),
        Series("held-out rows", held, "held", dots=True),
    ]
    svg = line_chart(series, "optimiser step", unit, title, kept)
    return Picture(title, svg, _keys(series))


def _keys(series: Sequence[Series]) -> tuple[tuple[str, str], ...]:
    return tuple((one.kind, one.name) for one in series if one.points)


def _metrics(answer: Json) -> Picture:
    rows = [
        Row(
            found["name"],
            100 * found["tuned"],
            _share(found["base"] + found["low"]),
            _share(found["base"] + found["high"]),
            f"{percent(found['base'])} to {percent(found['tuned'])}",
            start=100 * found["base"],
        )
        for found in metrics_of(answer["detail"])
        if found["kind"] == "rate"
    ]
    title = "Answers to held-out prompts"
    return Picture(
        title,
        interval_chart(rows, "percent of the answers", title, (0.0, 100.0)),
        (("base", "base"), ("tuned", "tuned, with the 95 % interval of the change")),
    )


def _share(value: float) -> float:
    """In percent, and never outside of what a share can be."""
    return 100 * min(1.0, max(0.0, value))


def _kept(answer: Json) -> Iterator[Picture]:
    for unit, changes in changes_of(answer):
        rows = [
            Row(
                PurePath(name).name or name,
                found["change"],
                found["low"],
                found["high"],
                f"{number(found['change'])} ({number(found['low'])} to {number(found['high'])})",
                limit=found.get("limit"),
            )
            for name, found in changes
        ]
        own = unit == answer["unit"]
        title = "What the training cost elsewhere" if own else "How far the model has moved"
        limit = (("limit", "limit"),) if any(row.limit is not None for row in rows) else ()
        yield Picture(
            title,
            interval_chart(rows, f"change in {unit}; above 0 is worse", title),
            (("tuned", "change, with its 95 % interval"), *limit),
        )


def _frontier(answer: Json) -> Picture | None:
    """Gain on the task over what is forgotten, one dot a strength of the tuned model."""
    found = answer["detail"].get("frontier")
    if not found:
        return None
    points, most = found["points"], found["most_forgetting"]
    along = [(100 * p["forgetting"]["value"], p["gain"]["value"]) for p in points]
    marks = [
        Mark(at, f"saved: strength {number(point['strength'])}")
        for (at, _), point in zip(along, points, strict=True)
        if point["strength"] == found["strength"]
    ]
    if most is not None:
        marks.append(Mark(100 * most, f"allowed: {percent(most)}", "limit"))
    title = "Gain and forgetting at each strength"
    series = [Series("strengths", along, "held", dots=True)]
    axes = "more loss on general text, percent", f"gain on held-out rows, {found['unit']}"
    return Picture(title, line_chart(series, *axes, title, marks), _keys(series))


def _gap(steps: Lines, course: Course) -> Picture | None:
    """Held-out loss over epochs, and the loss of the rows trained since the validation before."""
    trained, before = [], 0
    for validation in course.validations:
        between = [one["loss"] for one in steps if before < one["step"] <= validation.step]
        if between:
            trained.append((validation.epoch, sum(between) / len(between)))
        before = validation.step
    if len(trained) < 2:
        return None
    held = [(each.epoch, each.loss) for each in course.validations]
    kept = [
        Mark(each.epoch, f"kept: epoch {number(each.epoch)}")
        for each in course.validations
        if each.step == course.kept_step
    ]
    title = "The gap between trained and held-out rows"
    series = [
        Series("trained rows, mean since the dot before", trained, "train", dots=True),
        Series("held-out rows", held, "held", dots=True),
    ]
    return Picture(title, line_chart(series, "epoch", NATS_PER_TOKEN, title, kept), _keys(series))


def _gains(answer: Json) -> Picture:
    sides = [("rows trained on", "train"), ("held-out rows", "held_out")]
    rows = [
        Row(
            name,
            found["tuned"],
            None,
            None,
            f"{number(found['base'])} to {number(found['tuned'])}",
            start=found["base"],
        )
        for name, key in sides
        if (found := answer["detail"].get(key))
    ]
    title = "Before and after, on both"
    axis = f"{answer['unit']}; lower is better"
    keys = (("base", "base"), ("tuned", "tuned"))
    return Picture(title, interval_chart(rows, axis, title), keys)


def _ways(answer: Json, measured: Measured) -> Picture:
    ways = ways_of(answer, measured)
    rows = [
        Row(way.name, way.loss, way.low, way.high, number(way.loss), way.kind)
        for way in ways
        if way.loss is not None
    ]
    title = "Trained, or helped instead"
    return Picture(
        title,
        interval_chart(rows, f"{answer['unit']}; lower is better", title),
        (("base", "the base"), ("tuned", "the tuned model")),
        "The intervals are those of the difference to the tuned model on the same rows."
        if rows
        else "",
    )


def _break_even(answer: Json) -> Picture | None:
    """Seconds spent over requests answered; None where training never pays."""
    detail = answer["detail"]
    pays = detail.get("requests_until_it_pays")
    best = next((b for b in detail.get("baselines", ()) if b["name"] == detail["best"]), None)
    if not pays or not best or not best["cost"] or not detail["cost"]:
        return None
    training, end = detail["training_seconds"], 2 * pays
    series = [
        Series(
            "trained, then asked",
            [(0, training), (end, training + end * detail["cost"]["seconds"])],
            "held",
        ),
        Series(best["title"], [(0, 0.0), (end, end * best["cost"]["seconds"])], "train"),
    ]
    title = "When the time of training is saved"
    mark = [Mark(pays, plural(pays, "request"))]
    svg = line_chart(series, "requests answered", "seconds in all", title, mark)
    return Picture(title, svg, _keys(series), "Seconds of this machine, training included.")


def _parity(answer: Json) -> Picture | None:
    if answer["value"] is None:
        return None
    row = Row(
        "the saved model, opened afresh",
        answer["value"],
        None,
        None,
        f"{answer['value']:.2g}",
        limit=answer["detail"]["tolerance"],
    )
    title = "Saved model against trained model"
    axis = f"largest difference of a row, {answer['unit']}"
    keys = (("tuned", "difference"), ("limit", "tolerance"))
    return Picture(title, interval_chart([row], axis, title), keys)
