"""The report of a labelling run: its pictures, tables and rows, on the page that all runs have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.evaluate.bootstrap import RESAMPLES
from tunesmith.evaluate.charts import Row, Series, interval_chart, line_chart
from tunesmith.evaluate.labels import scores
from tunesmith.evaluate.labels.measured import LabelMeasured, Said
from tunesmith.evaluate.labels.tag_page import marked_rows, tag_tables
from tunesmith.evaluate.labels.verdict import details
from tunesmith.evaluate.pages import page
from tunesmith.evaluate.pictures import Picture, loss_picture
from tunesmith.evaluate.report import flat, planned_of, rate_picture, training_of
from tunesmith.evaluate.side_by_side import Sample
from tunesmith.evaluate.tables import Table
from tunesmith.evaluate.wording import number, percent, plural

Json = Mapping[str, Any]

_MOST_CLASSES = 30
SHOWN = 12
"""Rows of each sort that the report shows."""

_ROWS = ("row", "class", "classes")

QUESTIONS = {
    "learned": ("Did it learn?", "Better than a constant answer by"),
    "kept": ("Did it keep what it knew?", ""),
    "memorised": ("Did it merely memorise?", "What trained rows have over held-out ones"),
    "worth": ("Was it worth it?", "Better than the best simpler way by"),
    "parity": ("Is it what you will serve?", "Saved model against trained model"),
}


def render_labels(
    verdict: Json,
    measured: LabelMeasured,
    metrics: Sequence[Json],
    ledger: Json,
    recipe_text: str,
    environment: Json,
    plan: Json,
) -> str:
    """The whole page as HTML. The arguments are as for `report.render`."""
    steps = steps_of(metrics)
    pictures = {
        "learned": [
            loss_picture(steps, measured.course, scores.LOSSES[measured.problem]),
            _classes(measured),
            _reliability(measured),
        ],
        "worth": [_rivals(verdict["worth"], measured)],
    }
    tables = tables_of_labels(verdict, measured)
    run = (steps, ledger, recipe_text, environment, plan)
    tags = measured.problem == "tags"
    return questions_page(
        verdict,
        QUESTIONS,
        pictures,
        tables,
        *run,
        labelled=() if tags else wrong_of(measured.held_out)[:SHOWN],
        right=[row for row in right_of(measured.held_out)[:SHOWN] if row.picture],
        tagged=marked_rows(measured) if tags else (),
    )


def tables_of_labels(verdict: Json, measured: LabelMeasured) -> dict[str, list[Table]]:
    """The tables of each question; none where nothing was measured."""
    return {"learned": _tables(measured), "worth": _rival_tables(verdict["worth"], measured)}


def steps_of(metrics: Sequence[Json]) -> list[Json]:
    """The lines of `metrics.jsonl` that are optimiser steps."""
    return [line for line in metrics if "loss" in line and "lr" in line]


def questions_page(
    verdict: Json,
    asked: Mapping[str, tuple[str, str]],
    pictures: Mapping[str, Sequence[Picture | None]],
    tables: Mapping[str, Sequence[Table]],
    steps: Sequence[Json],
    ledger: Json,
    recipe_text: str,
    environment: Json,
    plan: Json,
    labelled: Sequence[Said] = (),
    right: Sequence[Said] = (),
    tagged: Sequence[Any] = (),
    samples: Sequence[Sample] = (),
    prompts: int = 0,
    wrong_pairs: Sequence[tuple[Any, float]] = (),
) -> str:
    """The page of any run but an ordinary one: five questions as `asked`, and all about the run.

    `samples` are answers side by side, of so many `prompts`; `wrong_pairs` are pairs of answers of
    which the worse got the higher reward, and how sure that was.
    """
    return page(
        "report.html.j2",
        verdict=verdict,
        questions=[
            (
                key,
                *words,
                verdict[key],
                [one for one in pictures.get(key, []) if one and one.svg],
                tables.get(key, []),
            )
            for key, words in asked.items()
        ],
        rate=rate_picture(steps),
        remarks={key: verdict[key]["detail"].get("remarks", []) for key in asked},
        training=training_of(steps),
        planned=Table(("The plan", "Planned before the start", "Measured"), planned_of(plan)),
        paths=plan.get("paths", {}),
        course=verdict["memorised"]["detail"].get("course"),
        labelled=labelled,
        right=right,
        tagged=tagged,
        wrong_pairs=wrong_pairs,
        spent=None,
        samples=samples,
        prompts=prompts,
        failures=(),
        shown=None,
        ledger=ledger,
        dropped=sorted(ledger.get("dropped", {}).items()),
        resamples=RESAMPLES,
        recipe_text=recipe_text,
        environment=list(flat(environment)),
    )


def _classes(measured: LabelMeasured) -> Picture | None:
    """Recall of each class, the worst first: where the model still goes wrong."""
    found = details(measured).get("classes", [])
    worst = sorted((each for each in found if each[3]), key=lambda each: (each[2], -each[3]))
    unit, of, units = ("span", "type", "types") if measured.problem == "tags" else _ROWS
    rows = [
        Row(name, 100 * recall, None, None, f"{percent(recall)} of {plural(count, unit)}")
        for name, _, recall, count in worst[:_MOST_CLASSES]
    ]
    title = f"{unit.capitalize()}s of each {of} that were found"
    more = f"The {len(rows)} worst of {len(worst)} {units}." if len(worst) > len(rows) else ""
    return Picture(title, interval_chart(rows, "percent", title, (0.0, 100.0)), (), more)


def _reliability(measured: LabelMeasured) -> Picture | None:
    """How often the model is right where it says how sure it is."""
    found = measured.calibration
    if found is None or not found.bins:
        return None
    title = "How sure it says it is, and how often it is right"
    points = [(100 * sure, 100 * right) for sure, right, _ in found.bins]
    series = [
        Series("held-out rows", points, "held", dots=True),
        Series("as it should be", [(0.0, 0.0), (100.0, 100.0)], "train"),
    ]
    svg = line_chart(series, "percent sure", "percent right", title)
    return Picture(title, svg, tuple((one.kind, one.name) for one in series))


def _rivals(answer: Json, measured: LabelMeasured) -> Picture | None:
    rows = [
        Row(each["title"], each["gain"], each["low"], each["high"], f"by {number(each['gain'])}")
        for each in answer["detail"].get("rivals", [])
    ]
    title = "Better than each simpler way by"
    axis = f"{scores.UNITS[measured.problem]}, with the 95 % interval"
    return Picture(title, interval_chart(rows, axis, title))


def _tables(measured: LabelMeasured) -> list[Table]:
    found = details(measured)
    tables = [_figures(measured)] if measured.held_out else []
    if measured.problem == "tags" and measured.held_out:
        tables += tag_tables(measured)
    if found.get("confusions"):
        rows = [[wanted, said, f"{count:,}"] for wanted, said, count in found["confusions"]]
        tables.append(Table(("Wanted", "Said instead", "Rows"), rows))
    return tables


def _figures(measured: LabelMeasured) -> Table:
    sides = [("tuned", measured.held_out)] + [(r.title, r.rows) for r in measured.rivals]
    each = [scores.figures(rows, measured.problem, measured.names) for _, rows in sides]
    rows = [
        [title, *(scores.shown(name, value) for name, value in found.items())]
        for (title, _), found in zip(sides, each, strict=True)
    ]
    return Table(("Held-out rows labelled by", *each[0]), rows)


def _rival_tables(answer: Json, measured: LabelMeasured) -> list[Table]:
    rows = [
        [each["title"], number(each["gain"]), f"{number(each['low'])} to {number(each['high'])}"]
        for each in answer["detail"].get("rivals", [])
    ]
    words = [(each.title, each.definition) for each in measured.rivals if each.definition]
    return [Table(("Against", "Better by", "95 % interval"), rows, words)] if rows else []


def wrong_of(rows: Sequence[Said]) -> list[Said]:
    """Rows that were labelled wrongly, those of which the model was surest first."""
    wrong = [row for row in rows if set(row.wanted) != set(row.said) and row.text]
    return sorted(wrong, key=lambda row: -row.sure)


def right_of(rows: Sequence[Said]) -> list[Said]:
    """Rows that were labelled rightly, those of which the model was least sure first."""
    right = [row for row in rows if set(row.wanted) == set(row.said) and row.text]
    return sorted(right, key=lambda row: row.sure)
